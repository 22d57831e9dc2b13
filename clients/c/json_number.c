/* The numbers of JSON: whole ones exactly, others rounded once; without the locale. */
#include <float.h>

#include "json.h"

struct number {
    int negative, whole, fits; /* no fraction and no exponent; the digits fit into 64 bits */
    uint64_t digits;
    long exponent;
};

static int is_digit(const struct json *j) {
    return j->at < j->end && *j->at >= '0' && *j->at <= '9';
}

static void take_digit(struct json *j, struct number *n, int fraction) {
    unsigned digit = (unsigned)(*j->at++ - '0');
    if (n->fits && n->digits <= (UINT64_MAX - digit) / 10) {
        n->digits = n->digits * 10 + digit;
        if (fraction) n->exponent--;
    } else {
        n->fits = 0;
        if (!fraction) n->exponent++;
    }
}

static int scan_number(struct json *j, struct number *n) {
    *n = (struct number){.whole = 1, .fits = 1};
    if (json_peek(j) == '-') {
        n->negative = 1;
        j->at++;
    }
    if (!is_digit(j)) return 0;
    if (*j->at == '0') j->at++;
    else
        while (is_digit(j)) take_digit(j, n, 0);
    if (is_digit(j)) return 0;
    if (j->at < j->end && *j->at == '.') {
        n->whole = 0;
        j->at++;
        if (!is_digit(j)) return 0;
        while (is_digit(j)) take_digit(j, n, 1);
    }
    if (j->at < j->end && (*j->at == 'e' || *j->at == 'E')) {
        int negative = 0;
        long exponent = 0;
        n->whole = 0;
        j->at++;
        if (j->at < j->end && (*j->at == '+' || *j->at == '-')) negative = *j->at++ == '-';
        if (!is_digit(j)) return 0;
        while (is_digit(j)) {
            int digit = *j->at++ - '0';
            if (exponent < 100000) exponent = exponent * 10 + digit;
        }
        n->exponent += negative ? -exponent : exponent;
    }
    return 1;
}

int json_integer(struct json *j, int64_t *value) {
    struct number n;
    if (!scan_number(j, &n) || !n.whole || !n.fits) return 0;
    if (n.digits > (uint64_t)INT64_MAX) return 0; /* and INT64_MIN means unknown */
    *value = n.negative ? -(int64_t)n.digits : (int64_t)n.digits;
    return 1;
}

/* Not strtod(3), which follows the locale: a comma there would cut every number. */
int json_number(struct json *j, double *value) {
    struct number n;
    if (!scan_number(j, &n)) return 0;
    static const double exact[] = {1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                   1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n.digits <= UINT64_C(1) << 53 && n.exponent <= 0 && n.exponent >= -22) { /* both exact: so is the quotient, rounded once */
        double quotient = (double)n.digits / exact[-n.exponent];
        *value = n.negative ? -quotient : quotient;
        return 1;
    }
    long double scaled = (long double)n.digits;
    if (n.digits != 0) {
        long exponent = n.exponent < -5000 ? -5000 : n.exponent > 5000 ? 5000 : n.exponent;
        long double factor = 1, power = 10;
        for (unsigned long left = (unsigned long)(exponent < 0 ? -exponent : exponent); left; left >>= 1) {
            if (left & 1) factor *= power;
            power *= power;
        }
        scaled = exponent < 0 ? scaled / factor : scaled * factor;
    }
    if (!(scaled <= (long double)DBL_MAX)) return 0;
    *value = (double)(n.negative ? -scaled : scaled);
    return 1;
}
