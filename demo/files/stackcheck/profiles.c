/* aws-c-sdkutils: a configuration file with profiles. */
#include "check.h"

#include <aws/common/string.h>
#include <aws/sdkutils/aws_profile.h>

int check_profiles(struct aws_allocator *allocator) {
    struct aws_byte_buf text = aws_byte_buf_from_c_str("[default]\nregion=here\n[profile far]\nregion=there\n");
    struct aws_profile_collection *profiles =
        aws_profile_collection_new_from_buffer(allocator, &text, AWS_PST_CONFIG);
    EXPECT(profiles != NULL);
    struct aws_string *name = aws_string_new_from_c_str(allocator, "far");
    struct aws_string *key = aws_string_new_from_c_str(allocator, "region");
    const struct aws_profile *far = aws_profile_collection_get_profile(profiles, name);
    EXPECT(far != NULL);
    const struct aws_profile_property *region = aws_profile_get_property(far, key);
    EXPECT(region != NULL);
    EXPECT(aws_string_eq_c_str(aws_profile_property_get_value(region), "there"));
    aws_string_destroy(key);
    aws_string_destroy(name);
    aws_profile_collection_release(profiles);
    return 0;
}
