/* bzip2 and LZ4: there and back. */
#include "check.h"

#include <bzlib.h>
#include <lz4.h>

enum { SIZE = 1 << 16 };

int check_compression(struct aws_allocator *allocator) {
    (void)allocator;
    static char plain[SIZE], packed[2 * SIZE], back[SIZE];
    for (size_t i = 0; i < SIZE; ++i) {
        plain[i] = (char)("speculation"[i % 11] + i / 4096);
    }

    int packed_size = LZ4_compress_default(plain, packed, SIZE, sizeof packed);
    EXPECT(packed_size > 0 && packed_size < SIZE / 8);
    EXPECT(LZ4_decompress_safe(packed, back, packed_size, SIZE) == SIZE);
    EXPECT(memcmp(plain, back, SIZE) == 0);

    unsigned int size = sizeof packed, back_size = SIZE;
    memset(back, 0, SIZE);
    EXPECT(BZ2_bzBuffToBuffCompress(packed, &size, plain, SIZE, 9, 0, 0) == BZ_OK);
    EXPECT(BZ2_bzBuffToBuffDecompress(back, &back_size, packed, size, 0, 0) == BZ_OK);
    EXPECT(back_size == SIZE && memcmp(plain, back, SIZE) == 0);
    printf("65536 bytes: lz4 %d, bzip2 %u\n", packed_size, size);
    return 0;
}
