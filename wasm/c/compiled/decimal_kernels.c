#define Py_BUILD_CORE 1 /* for the conversions that CPython keeps to itself */
#define CONFIG_32 1
#define ANSI 1
#include <math.h>
#include <mpdecimal.h>

#include "compiled/text.h"
#include "pycore_dtoa.h"

/* Decimals: small ones with integers of the machine, all others by libmpdec, which the decimal module calls too.
 * Results are those of the default context; compiled code doesn't run in another one (decimal_context.c). */

/* A finite decimal in the arena or among the constants, at most 38 digits. Its size is that of `place` in
 * wasm/python/_udf_compiler/constants.py. */
struct decimal {
  uint64_t low, high; /* of its digits as an integer */
  int32_t exponent;
  uint32_t negative;
};

typedef unsigned __int128 digits_t;

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
#define WORDS 5              /* of 9 digits, that 38 digits take */
#define NEAR_EXPONENT 100000 /* exponents up to here are far from all bounds */

static const mpd_context_t defaults = {
    PRECISION,           999999, -999999, MPD_IEEE_Invalid_operation | MPD_Division_by_zero | MPD_Overflow, 0, 0,
    MPD_ROUND_HALF_EVEN, 0,      1};

static const uint64_t tens[] = {UINT64_C(1),
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
#define MOST_TENS 18

/* The least number of more digits than the context keeps. */
static const digits_t too_long = (digits_t)10000000000000000000u * 1000000000u;

static inline digits_t digits_of(const struct decimal *d) { return (digits_t)d->high << 64 | d->low; }

static inline bool is_small(const struct decimal *d) {
  return d->high == 0 && d->low < tens[MOST_TENS] && d->exponent > -NEAR_EXPONENT && d->exponent < NEAR_EXPONENT;
}

static inline uint64_t made(struct compiled_context *context, digits_t digits, int32_t exponent, uint32_t negative) {
  struct decimal *d = (struct decimal *)take(context, sizeof *d);
  if (d == NULL) return KERNEL_BAIL;
  *d = (struct decimal){(uint64_t)digits, (uint64_t)(digits >> 64), exponent, negative};
  return packed((text_t)d, 0);
}

/* ---- libmpdec ---------------------------------------------------------------------------------------------------- */

/* A number of libmpdec that is only read. */
struct operand {
  mpd_t number;
  mpd_uint_t words[WORDS];
};

static const mpd_t *operand(struct operand *to, const struct decimal *from) {
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

/* Return a result of libmpdec, and free it; or the error that its signals are. */
static uint64_t finished(struct compiled_context *context, mpd_t *number, uint32_t signals) {
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

#define RESULT(name)                         \
  mpd_uint_t name##_words[MPD_MINALLOC_MAX]; \
  mpd_t name = {MPD_STATIC | MPD_STATIC_DATA, 0, 0, 0, MPD_MINALLOC_MAX, name##_words}

static uint64_t by_libmpdec(struct compiled_context *context, enum operation operation, const struct decimal *a,
                            const struct decimal *b) {
  struct operand x_operand, y_operand;
  const mpd_t *x = operand(&x_operand, a), *y = operand(&y_operand, b);
  uint32_t signals = 0;
  RESULT(z);
  switch (operation) {
    case ADD:
      mpd_qadd(&z, x, y, &defaults, &signals);
      break;
    case SUBTRACT:
      mpd_qsub(&z, x, y, &defaults, &signals);
      break;
    case MULTIPLY:
      mpd_qmul(&z, x, y, &defaults, &signals);
      break;
    case DIVIDE:
      mpd_qdiv(&z, x, y, &defaults, &signals);
      break;
    case FLOOR_DIVIDE:
      mpd_qdivint(&z, x, y, &defaults, &signals);
      break;
    case REMAINDER:
      mpd_qrem(&z, x, y, &defaults, &signals);
      break;
    case POWER:
      mpd_qpow(&z, x, y, &defaults, &signals);
      break;
    case PLUS:
      mpd_qplus(&z, x, &defaults, &signals);
      break;
    case MINUS:
      mpd_qminus(&z, x, &defaults, &signals);
      break;
    case ABSOLUTE:
      mpd_qabs(&z, x, &defaults, &signals);
      break;
    case NORMALIZE:
      mpd_qreduce(&z, x, &defaults, &signals);
      break;
    case SQRT:
      mpd_qsqrt(&z, x, &defaults, &signals);
      break;
  }
  return finished(context, &z, signals);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* Return the decimal of a signed integer of 128 bits and an exponent. */
uint64_t KERNEL(k_decimal_make)(struct compiled_context *context, int64_t low, int64_t high, int32_t exponent) {
  digits_t digits = (digits_t)(uint64_t)high << 64 | (uint64_t)low;
  return made(context, high < 0 ? -digits : digits, exponent, high < 0);
}

/* Decimal(s) */
uint64_t KERNEL(k_decimal_parse)(struct compiled_context *context, text_t p, uint32_t n) {
  char text[128];
  while (n > 0 && space_at(p, n) == 1) p++, n--;
  while (n > 0 && p[n - 1] < 0x80 && space_at(p + n - 1, 1) == 1) n--;
  if (n >= sizeof text || !is_ascii(p, n)) return KERNEL_BAIL;
  uint32_t length = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (p[i] == 0) return KERNEL_BAIL; /* digits for CPython's table of them, as those beyond ASCII */
    if (p[i] != '_') text[length++] = (char)p[i];
  }
  text[length] = 0;
  mpd_context_t exact;
  uint32_t signals = 0;
  mpd_maxcontext(&exact);
  RESULT(z);
  mpd_qset_string(&z, text, &exact, &signals);
  if (signals & (MPD_Inexact | MPD_Rounded | MPD_Clamped)) signals |= MPD_Invalid_operation;
  return finished(context, &z, signals & MPD_Errors);
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

/* Add two small numbers whose exponents are near. False if they aren't. */
static inline bool add(struct compiled_context *context, const struct decimal *a, const struct decimal *b,
                       uint32_t negated, uint64_t *result) {
  if (!is_small(a) || !is_small(b)) return false;
  int32_t distance = a->exponent - b->exponent;
  if (distance < -9 || distance > 9) return false;
  __int128 x = a->low, y = b->low; /* below 10**27 when their last digits are aligned */
  if (distance > 0) x *= tens[distance];
  if (distance < 0) y *= tens[-distance];
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
  int order = mpd_qcmp(operand(&x_operand, a), operand(&y_operand, b), &signals);
  if (signals != 0) context->error = KERNEL_BAIL;
  return order < 0 ? -1 : order > 0;
}

/* Return digits without some of the last ones, rounded half to even, half up, or down. False for other roundings. */
static inline bool round_off(uint64_t digits, int32_t dropped, int32_t rounding, uint64_t *rounded, bool *exact) {
  uint64_t by = tens[dropped], quotient = digits / by, rest = digits - quotient * by, half = by / 2;
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
    if (dropped < 0 && dropped >= -9) return made(context, (digits_t)a->low * tens[-dropped], exponent, a->negative);
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
  mpd_context_t by = defaults;
  by.round = rounding;
  uint32_t signals = 0;
  RESULT(z);
  mpd_qquantize(&z, operand(&x_operand, a), &to, &by, &signals);
  return finished(context, &z, signals);
}

/* d.to_integral_value() */
uint64_t KERNEL(k_decimal_integral)(struct compiled_context *context, const struct decimal *a, int32_t rounding) {
  struct operand x_operand;
  mpd_context_t by = defaults;
  by.round = rounding;
  uint32_t signals = 0;
  RESULT(z);
  mpd_qround_to_int(&z, operand(&x_operand, a), &by, &signals);
  return finished(context, &z, signals);
}

/* ---- to other types ---------------------------------------------------------------------------------------------- */

/* Return an integer, rounded. */
int64_t KERNEL(k_decimal_int)(struct compiled_context *context, const struct decimal *a, int32_t rounding) {
  if (rounding == MPD_ROUND_DOWN && a->high == 0 && a->low <= INT64_MAX && a->exponent <= 0 &&
      a->exponent >= -MOST_TENS) {
    int64_t value = (int64_t)(a->low / tens[-a->exponent]);
    return a->negative ? -value : value;
  }
  struct operand x_operand;
  mpd_context_t by;
  mpd_maxcontext(&by);
  by.round = rounding;
  uint32_t signals = 0;
  RESULT(z);
  int64_t value = 0;
  if (a->exponent > 20) {
    if (a->low != 0 || a->high != 0) context->error = KERNEL_BAIL;
    return 0;
  }
  mpd_qround_to_int(&z, operand(&x_operand, a), &by, &signals);
  value = mpd_qget_i64(&z, &signals);
  if (signals & (MPD_Invalid_operation | MPD_Malloc_error)) context->error = KERNEL_BAIL;
  mpd_del(&z);
  return value;
}

/* Write str(d), with its end; return its length, 0 if there is no memory. */
static uint32_t written(const struct decimal *a, char *to, uint32_t size) {
  struct operand x_operand;
  char *text = NULL;
  mpd_ssize_t length = mpd_to_sci_size(&text, operand(&x_operand, a), 1);
  if (length < 0 || (uint32_t)length >= size) length = 0;
  if (length > 0) memcpy(to, text, (size_t)length + 1);
  if (text != NULL) mpd_free(text);
  return (uint32_t)length;
}

double KERNEL(k_decimal_float)(struct compiled_context *context, const struct decimal *a) {
  static const double powers[] = {1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (a->high == 0 && a->low <= UINT64_C(1) << 53 && a->exponent <= 0 && a->exponent >= -22) {
    double value = (double)a->low / powers[-a->exponent]; /* both exact, so it is rounded once */
    return a->negative ? -value : value;
  }
  char text[128];
  if (written(a, text, sizeof text) == 0) {
    context->error = KERNEL_BAIL;
    return NAN;
  }
  return _Py_dg_strtod(text, NULL);
}

/* str(d) */
uint64_t KERNEL(k_decimal_text)(struct compiled_context *context, const struct decimal *a) {
  if (a->high == 0 && a->exponent <= 0 && a->exponent >= -6) {
    char text[32], *end = text + sizeof text, *at = end;
    uint64_t rest = a->low;
    for (int32_t n = 0; rest != 0 || n <= -a->exponent; n++, rest /= 10) {
      if (n == -a->exponent && n > 0) *--at = '.';
      *--at = (char)('0' + rest % 10);
    }
    if (a->negative) *--at = '-';
    uint8_t *to = take(context, (uint32_t)(end - at));
    if (to == NULL) return KERNEL_BAIL;
    memcpy(to, at, (size_t)(end - at));
    return packed(to, (uint32_t)(end - at));
  }
  char text[128];
  uint32_t n = written(a, text, sizeof text);
  uint8_t *to = n == 0 ? NULL : take(context, n);
  if (to == NULL) return KERNEL_BAIL;
  memcpy(to, text, n);
  return packed(to, n);
}

/* format(d, spec) of a spec in ASCII that has no NUL */
uint64_t KERNEL(k_decimal_format)(struct compiled_context *context, const struct decimal *a, text_t spec, uint32_t n) {
  char format[32];
  mpd_spec_t parsed;
  if (n >= sizeof format) return KERNEL_BAIL;
  memcpy(format, spec, n);
  format[n] = 0;
  if (!mpd_parse_fmt_str(&parsed, format, 1)) return KERNEL_BAIL;
  struct operand x_operand;
  uint32_t signals = 0;
  char *text = mpd_qformat_spec(operand(&x_operand, a), &parsed, &defaults, &signals);
  uint32_t length = text == NULL ? 0 : (uint32_t)strlen(text);
  uint8_t *to = text == NULL ? NULL : take(context, length);
  if (to != NULL) memcpy(to, text, length);
  if (text != NULL) mpd_free(text);
  return to == NULL ? KERNEL_BAIL : packed(to, length);
}

/* Write a decimal where the DECIMAL of a result goes. Returns 1, or 0 if it doesn't fit. */
int32_t KERNEL(k_decimal_out)(struct compiled_context *context, const struct decimal *a, uint8_t *to) {
  digits_t digits = digits_of(a), limit = 1;
  int32_t shift = a->exponent + context->scale;
  for (int32_t i = 0; i < context->precision; i++) limit *= 10;
  if (shift < 0 && context->extends) return 0;
  if (digits == 0) shift = 0;
  if (shift < -1000 || shift > 38) return 0;
  if (shift < 0) { /* half away from zero */
    for (; shift < -1 && digits != 0; shift++) digits /= 10;
    digits = digits / 10 + (digits % 10 >= 5);
  }
  for (; shift > 0; shift--) {
    if (digits >= limit / 10) return 0;
    digits *= 10;
  }
  if (digits >= limit) return 0;
  __int128 value = a->negative ? -(__int128)digits : (__int128)digits;
  memcpy(to, &value, sizeof value);
  return 1;
}
