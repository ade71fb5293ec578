/* aws-c-io: a stream over memory. */
#include "check.h"

#include <aws/io/stream.h>

int check_streams(struct aws_allocator *allocator) {
    struct aws_byte_cursor text = aws_byte_cursor_from_c_str("a stream of bytes");
    struct aws_input_stream *stream = aws_input_stream_new_from_cursor(allocator, &text);
    EXPECT(stream != NULL);
    int64_t length = 0;
    EXPECT(aws_input_stream_get_length(stream, &length) == AWS_OP_SUCCESS);
    EXPECT(length == (int64_t)text.len);
    struct aws_byte_buf read;
    aws_byte_buf_init(&read, allocator, text.len);
    EXPECT(aws_input_stream_read(stream, &read) == AWS_OP_SUCCESS);
    EXPECT(aws_byte_buf_eq_c_str(&read, "a stream of bytes"));
    aws_byte_buf_clean_up(&read);
    aws_input_stream_release(stream);
    return 0;
}
