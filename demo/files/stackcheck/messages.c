/* aws-c-http: a request message and its headers. */
#include "check.h"

#include <aws/http/request_response.h>

int check_messages(struct aws_allocator *allocator) {
    struct aws_http_message *request = aws_http_message_new_request(allocator);
    EXPECT(request != NULL);
    EXPECT(aws_http_message_set_request_method(request, aws_http_method_get) == AWS_OP_SUCCESS);
    EXPECT(aws_http_message_set_request_path(request, aws_byte_cursor_from_c_str("/stack")) == AWS_OP_SUCCESS);
    struct aws_http_header host = {
        .name = aws_byte_cursor_from_c_str("Host"),
        .value = aws_byte_cursor_from_c_str("localhost"),
    };
    EXPECT(aws_http_message_add_header(request, host) == AWS_OP_SUCCESS);
    EXPECT(aws_http_message_get_header_count(request) == 1);
    struct aws_byte_cursor value;
    struct aws_http_headers *headers = aws_http_message_get_headers(request);
    EXPECT(aws_http_headers_get(headers, aws_byte_cursor_from_c_str("host"), &value) == AWS_OP_SUCCESS);
    EXPECT(aws_byte_cursor_eq_c_str(&value, "localhost"));
    aws_http_message_release(request);
    return 0;
}
