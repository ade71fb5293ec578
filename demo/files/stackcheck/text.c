/* aws-c-common: JSON, URIs, encodings. */
#include "check.h"

#include <aws/common/encoding.h>
#include <aws/common/json.h>
#include <aws/common/uri.h>

int check_text(struct aws_allocator *allocator) {
    struct aws_byte_cursor text = aws_byte_cursor_from_c_str("{\"stack\": [1, 2, 3]}");
    struct aws_json_value *json = aws_json_value_new_from_string(allocator, text);
    EXPECT(json != NULL);
    struct aws_json_value *list = aws_json_value_get_from_object(json, aws_byte_cursor_from_c_str("stack"));
    EXPECT(list != NULL && aws_json_get_array_size(list) == 3);
    aws_json_value_destroy(json);

    struct aws_uri uri;
    struct aws_byte_cursor address = aws_byte_cursor_from_c_str("https://localhost:8443/a/b?c=d");
    EXPECT(aws_uri_init_parse(&uri, allocator, &address) == AWS_OP_SUCCESS);
    EXPECT(aws_uri_port(&uri) == 8443);
    EXPECT(aws_byte_cursor_eq_c_str(aws_uri_path(&uri), "/a/b"));
    aws_uri_clean_up(&uri);

    struct aws_byte_buf encoded;
    aws_byte_buf_init(&encoded, allocator, 64);
    struct aws_byte_cursor plain = aws_byte_cursor_from_c_str("headstart");
    EXPECT(aws_base64_encode(&plain, &encoded) == AWS_OP_SUCCESS);
    printf("base64 %.*s\n", (int)encoded.len, (const char *)encoded.buffer);
    EXPECT(aws_byte_buf_eq_c_str(&encoded, "aGVhZHN0YXJ0"));
    aws_byte_buf_clean_up(&encoded);
    return 0;
}
