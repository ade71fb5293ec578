/* aws-checksums: the check values of the CRC catalogue for "123456789". */
#include "check.h"

#include <aws/checksums/crc.h>

int check_sums(struct aws_allocator *allocator) {
    (void)allocator;
    const uint8_t *digits = (const uint8_t *)"123456789";
    uint32_t crc32 = aws_checksums_crc32(digits, 9, 0);
    uint32_t crc32c = aws_checksums_crc32c(digits, 9, 0);
    printf("crc32 %08x crc32c %08x\n", crc32, crc32c);
    EXPECT(crc32 == 0xcbf43926);
    EXPECT(crc32c == 0xe3069283);
    return 0;
}
