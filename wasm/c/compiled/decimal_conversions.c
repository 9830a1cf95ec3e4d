#define Py_BUILD_CORE 1 /* for the conversions that CPython keeps to itself */
#include <math.h>

#include "compiled/decimal.h"
#include "pycore_dtoa.h"

/* Decimals from text, and as values of other types. */

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
  return decimal_result(context, &z, signals & MPD_Errors);
}

/* ---- to other types ---------------------------------------------------------------------------------------------- */

/* Return an integer, rounded. */
int64_t KERNEL(k_decimal_int)(struct compiled_context *context, const struct decimal *a, int32_t rounding) {
  if (rounding == MPD_ROUND_DOWN && a->high == 0 && a->low <= INT64_MAX && a->exponent <= 0 &&
      a->exponent >= -MOST_TENS) {
    int64_t value = (int64_t)(a->low / decimal_tens[-a->exponent]);
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
  mpd_qround_to_int(&z, decimal_operand(&x_operand, a), &by, &signals);
  value = mpd_qget_i64(&z, &signals);
  if (signals & (MPD_Invalid_operation | MPD_Malloc_error)) context->error = KERNEL_BAIL;
  mpd_del(&z);
  return value;
}

/* Write str(d), with its end; return its length, 0 if there is no memory. */
static uint32_t written(const struct decimal *a, char *to, uint32_t size) {
  struct operand x_operand;
  char *text = NULL;
  mpd_ssize_t length = mpd_to_sci_size(&text, decimal_operand(&x_operand, a), 1);
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

/* Compare the absolute values of a decimal and a float that are nearly the same: -1, 0 or 1, 2 where that takes more
 * than 128 bits. */
static int compare_exactly(const struct decimal *a, double b) {
  digits_t digits = digits_of(a), other;
  int power, exponent = a->exponent;
  uint64_t mantissa = (uint64_t)ldexp(frexp(fabs(b), &power), 53);
  power -= 53; /* digits * 10**exponent against mantissa * 2**power */
  for (; exponent > 0; exponent--) {
    if (digits >> 124 != 0) return 2;
    digits *= 10;
  }
  if (exponent < -27) return 2;
  for (; (mantissa & 1) == 0; mantissa >>= 1) power++;
  other = mantissa;
  for (int i = 0; i < -exponent; i++) other *= 5; /* below 2**116 */
  int shift = exponent - power;                   /* digits * 2**shift against `other` */
  for (; shift > 0; shift--) {
    if (digits >> 120 != 0) return 1;
    digits *= 2;
  }
  for (; shift < 0; shift++) {
    if (other >> 127 != 0) return 2;
    other *= 2;
  }
  return (digits > other) - (digits < other);
}

/* Compare with a float: -1, 0 or 1. Both are exact, as for the class Decimal. */
int32_t KERNEL(k_decimal_compare_float)(struct compiled_context *context, const struct decimal *a, double b) {
  context->signals |= MPD_Not_implemented; /* what CPython's FloatOperation is */
  double nearest = k_decimal_float(context, a);
  if (b != b || context->error != 0) {
    context->error = KERNEL_BAIL;
    return 0;
  }
  if (nearest != b) return nearest < b ? -1 : 1; /* rounding keeps the order */
  if (digits_of(a) == 0) return 0;
  bool outside = b == 0 || isinf(b); /* of what a float can be beside zero */
  int order = b == 0 ? 1 : outside ? -1 : compare_exactly(a, b);
  if (order == 2) context->error = KERNEL_BAIL;
  return a->negative ? -order : order;
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
  char *text = mpd_qformat_spec(decimal_operand(&x_operand, a), &parsed, &decimal_defaults, &signals);
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
