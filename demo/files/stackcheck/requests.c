/* aws-c-auth and aws-c-s3: objects that need no network. */
#include "check.h"

#include <aws/auth/credentials.h>
#include <aws/auth/signing_config.h>
#include <aws/s3/s3.h>

int check_requests(struct aws_allocator *allocator) {
    struct aws_credentials *credentials = aws_credentials_new(
        allocator,
        aws_byte_cursor_from_c_str("who"),
        aws_byte_cursor_from_c_str("secret"),
        aws_byte_cursor_from_c_str(""),
        UINT64_MAX);
    EXPECT(credentials != NULL);
    struct aws_byte_cursor who = aws_credentials_get_access_key_id(credentials);
    EXPECT(aws_byte_cursor_eq_c_str(&who, "who"));
    aws_credentials_release(credentials);

    const char *meaning = aws_error_name(AWS_ERROR_S3_CANCELED);
    printf("%s\n", meaning);
    EXPECT(strcmp(meaning, "AWS_ERROR_S3_CANCELED") == 0);
    return 0;
}
