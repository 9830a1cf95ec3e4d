#include "compiled/decimal.h"

/* Decimals: small ones with integers of the machine, all others by libmpdec, which the decimal module calls too.
 * Results are those of the default context; compiled code doesn't run in another one (decimal_context.c). */

/* The operations of k_decimal, by wasm/python/_udf_compiler/decimals.py. */
enum operation {
  ADD,
  SUBTRACT,
  MULTIPLY,
  DIVIDE,
  FLOOR_DIVIDE,
  REMAINDER,
  POWER,
  PLUS,
  MINUS,
  ABSOLUTE,
  NORMALIZE,
  SQRT
};

#define PRECISION 28

const mpd_context_t decimal_defaults = {
    PRECISION,           999999, -999999, MPD_IEEE_Invalid_operation | MPD_Division_by_zero | MPD_Overflow, 0, 0,
    MPD_ROUND_HALF_EVEN, 0,      1};

const uint64_t decimal_tens[MOST_TENS + 1] = {UINT64_C(1),
                                              UINT64_C(10),
                                              UINT64_C(100),
                                              UINT64_C(1000),
                                              UINT64_C(10000),
                                              UINT64_C(100000),
                                              UINT64_C(1000000),
                                              UINT64_C(10000000),
                                              UINT64_C(100000000),
                                              UINT64_C(1000000000),
                                              UINT64_C(10000000000),
                                              UINT64_C(100000000000),
                                              UINT64_C(1000000000000),
                                              UINT64_C(10000000000000),
                                              UINT64_C(100000000000000),
                                              UINT64_C(1000000000000000),
                                              UINT64_C(10000000000000000),
                                              UINT64_C(100000000000000000),
                                              UINT64_C(1000000000000000000)};

/* The least number of more digits than the context keeps. */
static const digits_t too_long = (digits_t)10000000000000000000u * 1000000000u;

static inline uint64_t made(struct compiled_context *context, digits_t digits, int32_t exponent, uint32_t negative) {
  struct decimal *d = (struct decimal *)take(context, sizeof *d);
  if (d == NULL) return KERNEL_BAIL;
  *d = (struct decimal){(uint64_t)digits, (uint64_t)(digits >> 64), exponent, negative};
  return packed((text_t)d, 0);
}

/* ---- libmpdec ---------------------------------------------------------------------------------------------------- */

const mpd_t *decimal_operand(struct operand *to, const struct decimal *from) {
  digits_t rest = digits_of(from);
  mpd_ssize_t n = 0;
  do {
    if (rest >> 64 == 0) { /* 128-bit division is slow */
      uint64_t low = (uint64_t)rest;
      to->words[n++] = (mpd_uint_t)(low % 1000000000);
      rest = low / 1000000000;
    } else {
      to->words[n++] = (mpd_uint_t)(rest % 1000000000);
      rest /= 1000000000;
    }
  } while (rest != 0);
  uint8_t flags = MPD_STATIC | MPD_CONST_DATA | (from->negative ? MPD_NEG : 0);
  to->number = (mpd_t){flags, from->exponent, 0, n, WORDS, to->words};
  mpd_setdigits(&to->number);
  return &to->number;
}

uint64_t decimal_result(struct compiled_context *context, mpd_t *number, uint32_t signals) {
  uint64_t result = KERNEL_BAIL;
  digits_t digits = 0;
  if (signals & MPD_Malloc_error) {
    result = KERNEL_BAIL;
  } else if (signals & MPD_IEEE_Invalid_operation) {
    result = KERNEL_INVALID_OPERATION;
  } else if (signals & MPD_Division_by_zero) {
    result = KERNEL_DECIMAL_DIVISION_BY_ZERO;
  } else if (!(signals & MPD_Overflow) && !mpd_isspecial(number) && number->digits <= 38) {
    for (mpd_ssize_t i = number->len; i-- > 0;) digits = digits * 1000000000 + number->data[i];
    result = made(context, digits, number->exp, mpd_isnegative(number));
  }
  context->signals |= signals;
  mpd_del(number);
  return result;
}

static uint64_t by_libmpdec(struct compiled_context *context, enum operation operation, const struct decimal *a,
                            const struct decimal *b) {
  struct operand x_operand, y_operand;
  const mpd_t *x = decimal_operand(&x_operand, a), *y = decimal_operand(&y_operand, b);
  uint32_t signals = 0;
  RESULT(z);
  switch (operation) {
    case ADD:
      mpd_qadd(&z, x, y, &decimal_defaults, &signals);
      break;
    case SUBTRACT:
      mpd_qsub(&z, x, y, &decimal_defaults, &signals);
      break;
    case MULTIPLY:
      mpd_qmul(&z, x, y, &decimal_defaults, &signals);
      break;
    case DIVIDE:
      mpd_qdiv(&z, x, y, &decimal_defaults, &signals);
      break;
    case FLOOR_DIVIDE:
      mpd_qdivint(&z, x, y, &decimal_defaults, &signals);
      break;
    case REMAINDER:
      mpd_qrem(&z, x, y, &decimal_defaults, &signals);
      break;
    case POWER:
      mpd_qpow(&z, x, y, &decimal_defaults, &signals);
      break;
    case PLUS:
      mpd_qplus(&z, x, &decimal_defaults, &signals);
      break;
    case MINUS:
      mpd_qminus(&z, x, &decimal_defaults, &signals);
      break;
    case ABSOLUTE:
      mpd_qabs(&z, x, &decimal_defaults, &signals);
      break;
    case NORMALIZE:
      mpd_qreduce(&z, x, &decimal_defaults, &signals);
      break;
    case SQRT:
      mpd_qsqrt(&z, x, &decimal_defaults, &signals);
      break;
  }
  return decimal_result(context, &z, signals);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Return the decimal of a signed integer of 128 bits and an exponent. */
uint64_t KERNEL(k_decimal_make)(struct compiled_context *context, int64_t low, int64_t high, int32_t exponent) {
  digits_t digits = (digits_t)(uint64_t)high << 64 | (uint64_t)low;
  return made(context, high < 0 ? -digits : digits, exponent, high < 0);
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* Add two small numbers whose exponents are near. False if they aren't. */
static inline bool add(struct compiled_context *context, const struct decimal *a, const struct decimal *b,
                       uint32_t negated, uint64_t *result) {
  if (!is_small(a) || !is_small(b)) return false;
  int32_t distance = a->exponent - b->exponent;
  if (distance < -9 || distance > 9) return false;
  __int128 x = a->low, y = b->low; /* below 10**27 when their last digits are aligned */
  if (distance > 0) x *= decimal_tens[distance];
  if (distance < 0) y *= decimal_tens[-distance];
  uint32_t y_negative = b->negative ^ negated;
  __int128 sum = (a->negative ? -x : x) + (y_negative ? -y : y);
  uint32_t negative = sum < 0 || (sum == 0 && a->negative && y_negative);
  *result = made(context, (digits_t)(sum < 0 ? -sum : sum), distance > 0 ? b->exponent : a->exponent, negative);
  return true;
}

/* An operation of two decimals, or of one: `b` is any then. */
uint64_t KERNEL(k_decimal)(struct compiled_context *context, int32_t operation, const struct decimal *a,
                           const struct decimal *b) {
  uint64_t result;
  if ((operation == ADD || operation == SUBTRACT) && add(context, a, b, operation == SUBTRACT, &result)) return result;
  if (operation == MULTIPLY && is_small(a) && is_small(b)) {
    digits_t product = (digits_t)a->low * b->low;
    if (product < too_long) return made(context, product, a->exponent + b->exponent, a->negative ^ b->negative);
  }
  if (operation == MINUS && is_small(a)) { /* 0 - a, where zero has no sign */
    return made(context, a->low, a->exponent, a->low != 0 && !a->negative);
  }
  if (operation == ABSOLUTE && is_small(a)) return made(context, a->low, a->exponent, 0);
  return by_libmpdec(context, (enum operation)operation, a, b);
}

/* Compare: -1, 0 or 1. */
int32_t KERNEL(k_decimal_compare)(struct compiled_context *context, const struct decimal *a, const struct decimal *b) {
  if (is_small(a) && is_small(b) && a->exponent == b->exponent) {
    int64_t x = a->negative ? -(int64_t)a->low : (int64_t)a->low, y = b->negative ? -(int64_t)b->low : (int64_t)b->low;
    return (x > y) - (x < y);
  }
  struct operand x_operand, y_operand;
  uint32_t signals = 0;
  int order = mpd_qcmp(decimal_operand(&x_operand, a), decimal_operand(&y_operand, b), &signals);
  if (signals != 0) context->error = KERNEL_BAIL;
  return order < 0 ? -1 : order > 0;
}

/* Return digits without some of the last ones, rounded half to even, half up, or down. False for other roundings. */
static inline bool round_off(uint64_t digits, int32_t dropped, int32_t rounding, uint64_t *rounded, bool *exact) {
  uint64_t by = decimal_tens[dropped], quotient = digits / by, rest = digits - quotient * by, half = by / 2;
  bool up;
  switch (rounding) {
    case MPD_ROUND_HALF_EVEN:
      up = rest > half || (rest == half && (quotient & 1));
      break;
    case MPD_ROUND_HALF_UP:
      up = rest >= half;
      break;
    case MPD_ROUND_DOWN:
      up = false;
      break;
    default:
      return false;
  }
  *rounded = quotient + up;
  *exact = rest == 0;
  return true;
}

/* d.quantize() to an exponent. */
uint64_t KERNEL(k_decimal_quantize)(struct compiled_context *context, const struct decimal *a, int32_t exponent,
                                    int32_t rounding) {
  if (is_small(a) && a->low != 0 && exponent > -NEAR_EXPONENT && exponent < NEAR_EXPONENT) {
    int32_t dropped = exponent - a->exponent;
    if (dropped == 0) return made(context, a->low, exponent, a->negative);
    if (dropped < 0 && dropped >= -9)
      return made(context, (digits_t)a->low * decimal_tens[-dropped], exponent, a->negative);
    uint64_t rounded;
    bool exact;
    if (dropped > 0 && dropped <= MOST_TENS && round_off(a->low, dropped, rounding, &rounded, &exact)) {
      context->signals |= MPD_Rounded | (exact ? 0 : MPD_Inexact);
      return made(context, rounded, exponent, a->negative);
    }
  }
  struct operand x_operand;
  mpd_uint_t one[1] = {1};
  mpd_t to = {MPD_STATIC | MPD_CONST_DATA, exponent, 1, 1, 1, one};
  mpd_context_t by = decimal_defaults;
  by.round = rounding;
  uint32_t signals = 0;
  RESULT(z);
  mpd_qquantize(&z, decimal_operand(&x_operand, a), &to, &by, &signals);
  return decimal_result(context, &z, signals);
}

/* d.to_integral_value() */
uint64_t KERNEL(k_decimal_integral)(struct compiled_context *context, const struct decimal *a, int32_t rounding) {
  struct operand x_operand;
  mpd_context_t by = decimal_defaults;
  by.round = rounding;
  uint32_t signals = 0;
  RESULT(z);
  mpd_qround_to_int(&z, decimal_operand(&x_operand, a), &by, &signals);
  return decimal_result(context, &z, signals);
}
