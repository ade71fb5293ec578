/* GMP, MPFR and MPC: an integer, a real and a complex number. */
#include "check.h"

#include <gmp.h>
#include <mpc.h>
#include <mpfr.h>

int check_numbers(struct aws_allocator *allocator) {
    (void)allocator;
    char digits[128];

    mpz_t factorial;
    mpz_init(factorial);
    mpz_fac_ui(factorial, 30);
    gmp_snprintf(digits, sizeof digits, "%Zd", factorial);
    printf("30! = %s\n", digits);
    EXPECT(strcmp(digits, "265252859812191058636308480000000") == 0);
    mpz_clear(factorial);

    mpfr_t pi;
    mpfr_init2(pi, 200);
    mpfr_const_pi(pi, MPFR_RNDN);
    mpfr_snprintf(digits, sizeof digits, "%.40Rf", pi);
    printf("pi = %s\n", digits);
    EXPECT(strcmp(digits, "3.1415926535897932384626433832795028841972") == 0);
    mpfr_clear(pi);

    mpc_t root;
    mpc_init2(root, 100);
    mpc_set_si_si(root, -4, 0, MPC_RNDNN);
    mpc_sqrt(root, root, MPC_RNDNN);
    EXPECT(mpfr_zero_p(mpc_realref(root)));
    EXPECT(mpfr_cmp_ui(mpc_imagref(root), 2) == 0);
    mpc_clear(root);
    mpfr_free_cache();
    return 0;
}
