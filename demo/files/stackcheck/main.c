#include "check.h"

#include <aws/auth/auth.h>
#include <aws/io/tls_channel_handler.h>
#include <aws/s3/s3.h>

static const struct {
    const char *name;
    int (*run)(struct aws_allocator *allocator);
} s_checks[] = {
    {"text", check_text},
    {"sums", check_sums},
    {"streams", check_streams},
    {"messages", check_messages},
    {"profiles", check_profiles},
    {"requests", check_requests},
    {"numbers", check_numbers},
    {"compression", check_compression},
};

/* The libraries were built to be given their TLS by the program; this one never opens a connection. */
struct aws_byte_buf aws_tls_handler_protocol(struct aws_channel_handler *handler) {
    (void)handler;
    struct aws_byte_buf none;
    AWS_ZERO_STRUCT(none);
    return none;
}

int main(void) {
    struct aws_allocator *allocator = aws_default_allocator();
    aws_s3_library_init(allocator);

    int failed = 0;
    for (size_t i = 0; i < AWS_ARRAY_SIZE(s_checks); ++i) {
        int bad = s_checks[i].run(allocator);
        printf("%s: %s\n", s_checks[i].name, bad ? "FAILED" : "ok");
        failed |= bad;
    }
    printf("library revision %d\n", AWS_SITE_REVISION);

    aws_s3_library_clean_up();
    return failed;
}
