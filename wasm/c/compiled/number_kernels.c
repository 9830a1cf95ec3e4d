#define Py_BUILD_CORE 1 /* for the conversions that CPython keeps to itself */
#include <Python.h>
#include <math.h>
#include <string.h>

#include "compiled/context.h"
#include "pycore_dtoa.h"
#include "pycore_pymath.h"

/* Numbers: the guest's own libm and CPython's own conversions, so that results are the interpreter's to the last bit.
 */

#define MATH_KERNEL(name) \
  double KERNEL(k_##name)(double x) { return name(x); }
MATH_KERNEL(sin)
MATH_KERNEL(cos)
MATH_KERNEL(tan)
MATH_KERNEL(asin)
MATH_KERNEL(acos)
MATH_KERNEL(atan)
MATH_KERNEL(sinh)
MATH_KERNEL(cosh)
MATH_KERNEL(tanh)
MATH_KERNEL(asinh)
MATH_KERNEL(atanh)
MATH_KERNEL(exp)
MATH_KERNEL(expm1)
MATH_KERNEL(exp2)
MATH_KERNEL(log)
MATH_KERNEL(log1p)
MATH_KERNEL(log2)
MATH_KERNEL(log10)
MATH_KERNEL(cbrt)

/* What CPython's math has in place of the C library's: wasm/c/libc/libm.c. */
double udf_acosh(double x);
double KERNEL(k_acosh)(double x) { return udf_acosh(x); }

double KERNEL(k_fmod)(double x, double y) { return fmod(x, y); }
double KERNEL(k_pow)(double x, double y) { return pow(x, y); }
double KERNEL(k_atan2)(double y, double x) { return atan2(y, x); }

/* float_rem and float_floor_div of CPython, for a divisor other than 0. */
double KERNEL(k_frem)(double x, double y) {
  double mod = fmod(x, y);
  if (mod) {
    if ((y < 0) != (mod < 0)) mod += y;
  } else {
    mod = copysign(0.0, y);
  }
  return mod;
}

double KERNEL(k_ffloordiv)(double vx, double wx) {
  double mod = fmod(vx, wx), div = (vx - mod) / wx, floordiv;
  if (mod) {
    if ((wx < 0) != (mod < 0)) div -= 1.0;
  }
  if (div) {
    floordiv = floor(div);
    if (div - floordiv > 0.5) floordiv += 1.0;
  } else {
    floordiv = copysign(0.0, vx / wx);
  }
  return floordiv;
}

/* float_pow where nothing is special; nan otherwise, which stands for the interpreter. */
double KERNEL(k_fpow)(double x, double y) {
  if (y == 0) return 1.0;
  if (!isfinite(x) || !isfinite(y)) return NAN;
  if (x == 0.0) return y < 0.0 ? NAN : fmod(fabs(y), 2.0) == 1.0 ? x : 0.0;
  int negate = 0;
  if (x < 0.0) {
    if (y != floor(y)) return NAN;
    x = -x;
    negate = fmod(fabs(y), 2.0) == 1.0;
  }
  if (x == 1.0) return negate ? -1.0 : 1.0;
  double r = pow(x, y);
  if (!isfinite(r)) return NAN;
  return negate ? -r : r;
}

/* math.hypot of two finite numbers: vector_norm of mathmodule.c, whose dl_mul uses fma; nan for the interpreter. */
struct pair {
  double hi, lo;
};
static inline struct pair dl_fast_sum(double a, double b) {
  double x = a + b, y = (a - x) + b;
  return (struct pair){x, y};
}
static inline struct pair dl_mul(double x, double y) {
  double z = x * y, zz = fma(x, y, -z);
  return (struct pair){z, zz};
}
double KERNEL(k_hypot)(double a, double b) {
  double vec[2] = {fabs(a), fabs(b)}, max = vec[0] > vec[1] ? vec[0] : vec[1];
  double csum = 1.0, frac1 = 0.0, frac2 = 0.0;
  int max_e;
  if (!isfinite(a) || !isfinite(b)) return NAN;
  if (max == 0.0) return max;
  frexp(max, &max_e);
  if (max_e < -1023) return NAN;
  double scale = ldexp(1.0, -max_e);
  for (int i = 0; i < 2; i++) {
    double x = vec[i] * scale;
    struct pair pr = dl_mul(x, x), sm = dl_fast_sum(csum, pr.hi);
    csum = sm.hi;
    frac1 += pr.lo;
    frac2 += sm.lo;
  }
  double h = sqrt(csum - 1.0 + (frac1 + frac2));
  struct pair pr = dl_mul(-h, h), sm = dl_fast_sum(csum, pr.hi);
  csum = sm.hi;
  frac1 += pr.lo;
  frac2 += sm.lo;
  double x = csum - 1.0 + (frac1 + frac2);
  h += x / (2.0 * h);
  double r = h / scale;
  return isfinite(r) ? r : NAN;
}

/* float.__round__ with a number of digits. */
double KERNEL(k_round)(double x, int64_t digits) {
  if (!isfinite(x) || digits > 323) return x;
  if (digits < -308) return 0.0 * x;
  int decpt, sign;
  char *end, *text = _Py_dg_dtoa(x, 3, (int)digits, &decpt, &sign, &end), buffer[100];
  if (text == NULL) return NAN;
  int length = (int)(end - text);
  if (length > 90) {
    _Py_dg_freedtoa(text);
    return NAN;
  }
  /* as snprintf("%s0%se%d") would */
  char *at = buffer;
  if (sign) *at++ = '-';
  *at++ = '0';
  memcpy(at, text, (size_t)length);
  at += length;
  *at++ = 'e';
  int exponent = decpt - length;
  if (exponent < 0) {
    *at++ = '-';
    exponent = -exponent;
  }
  char digits_of[12];
  int n = 0;
  do digits_of[n++] = (char)('0' + exponent % 10);
  while ((exponent /= 10) > 0);
  while (n > 0) *at++ = digits_of[--n];
  *at = 0;
  double rounded = _Py_dg_strtod(buffer, NULL);
  _Py_dg_freedtoa(text);
  return rounded; /* the caller sees to infinity */
}

/* int / int where one isn't exact as a float: nan for the interpreter. Compares int with float exactly: -1, 0, 1, 2. */
int32_t KERNEL(k_cmp_if)(int64_t a, double b) {
  if (b != b) return 2;
  if (b >= 9223372036854775808.0) return -1;
  if (b < -9223372036854775808.0) return 1;
  double t = trunc(b);
  int64_t i = (int64_t)t;
  if (a != i) return a < i ? -1 : 1;
  double rest = b - t;
  return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}
