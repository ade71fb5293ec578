/* stackcheck: one small use of each library in the stack, checked against known answers. */
#ifndef STACKCHECK_CHECK_H
#define STACKCHECK_CHECK_H

#include <aws/common/common.h>
#include <stdio.h>

/* Fails the calling check, naming the place, when `condition` does not hold. */
#define EXPECT(condition)                                                                  \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                                      \
        }                                                                                  \
    } while (0)

/* Each returns 0 when all is well, and prints what it computed on standard output. */
int check_text(struct aws_allocator *allocator);
int check_sums(struct aws_allocator *allocator);
int check_streams(struct aws_allocator *allocator);
int check_messages(struct aws_allocator *allocator);
int check_profiles(struct aws_allocator *allocator);
int check_requests(struct aws_allocator *allocator);
int check_numbers(struct aws_allocator *allocator);
int check_compression(struct aws_allocator *allocator);

#endif
