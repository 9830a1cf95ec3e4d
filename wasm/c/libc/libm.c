/* Functions of libm that Python's math module needs to be right where zig's and musl's are not.
 *
 * Those with a name of their own stand before libm's, which the modules named in wasm/guest.mk are compiled to call by
 * these names. The others take the place of zig's, which are weak symbols.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>

double udf_acosh(double x);
double udf_fma(double x, double y, double z);
double udf_sin(double x);
double udf_cos(double x);

/* musl's gives a number for arguments from -2**26 to about -2000. */
double udf_acosh(double x) { return x < 1 ? (double)NAN : acosh(x); }

/* musl's loses the sign of a product that is too small to be anything but zero. */
double udf_fma(double x, double y, double z) { return z == 0 && x != 0 && y != 0 ? x * y : fma(x, y, z); }

/* C allows errno for an error of the domain, glibc sets it, and CPython's powers of complex numbers rely on it. */
static double checked(double x, double result) {
  if (isinf(x)) errno = EDOM;
  return result;
}

double udf_sin(double x) { return checked(x, sin(x)); }
double udf_cos(double x) { return checked(x, cos(x)); }

/* ---- logarithms -------------------------------------------------------------------------------------------------- */

/* zig's (compiler_rt, 0.17.1) scale a subnormal number, but go on with its old low half.
 * This is the algorithm of FreeBSD's msun, which theirs is as well:
 *
 *   Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
 *   Developed at SunSoft, a Sun Microsystems, Inc. business.
 *   Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice is
 *   preserved.
 */
static const double ivln2hi = 1.44269504072144627571e+00, ivln2lo = 1.67517131648865118353e-10;
static const double ivln10hi = 4.34294481878168880939e-01, ivln10lo = 2.50829467116452752298e-11;
static const double log10_2hi = 3.01029995663611771306e-01, log10_2lo = 3.69423907715893078616e-13;

static const double Lg1 = 6.666666666666735130e-01, Lg2 = 3.999999999940941908e-01, Lg3 = 2.857142874366239149e-01,
                    Lg4 = 2.222219843214978396e-01, Lg5 = 1.818357216161805012e-01, Lg6 = 1.531383769920937332e-01,
                    Lg7 = 1.479819860511658591e-01;

union number {
  double value;
  uint64_t bits;
};

static uint64_t bits_of(double x) { return (union number){.value = x}.bits; }
static double double_of(uint64_t bits) { return (union number){.bits = bits}.value; }

/* Split the logarithm of a positive finite number: it is k * log(2) + hi + lo, with 2**k scaling x into
 * [sqrt(2) / 2, sqrt(2)]. */
static void split(double x, int *k, double *hi, double *lo) {
  *k = 0;
  if (x < 0x1p-1022) {
    *k = -54;
    x *= 0x1p54;
  }
  uint64_t bits = bits_of(x);
  uint32_t high = (uint32_t)(bits >> 32) + (0x3ff00000 - 0x3fe6a09e);
  *k += (int)(high >> 20) - 0x3ff;
  high = (high & 0x000fffff) + 0x3fe6a09e;
  double f = double_of((uint64_t)high << 32 | (bits & UINT32_MAX)) - 1;
  double half_square = 0.5 * f * f, s = f / (2 + f), z = s * s, w = z * z;
  double odd = w * (Lg2 + w * (Lg4 + w * Lg6)), even = z * (Lg1 + w * (Lg3 + w * (Lg5 + w * Lg7)));
  *hi = double_of(bits_of(f - half_square) & ~(uint64_t)UINT32_MAX);
  *lo = f - *hi - half_square + s * (half_square + (odd + even));
}

/* Answer for the numbers that have no logarithm to compute. Returns whether x is one. */
static int is_special(double x, double *result) {
  if (x > 0 && x < (double)INFINITY && x != 1) return 0;
  *result = x == 1 ? 0 : x == 0 ? -(double)INFINITY : x > 0 || isnan(x) ? x : (double)NAN;
  return 1;
}

double log2(double x) {
  int k;
  double hi, lo, result;
  if (is_special(x, &result)) return result;
  split(x, &k, &hi, &lo);
  double high = hi * ivln2hi, low = (lo + hi) * ivln2lo + lo * ivln2hi, sum = k + high;
  return low + ((k - sum) + high) + sum;
}

double log10(double x) {
  int k;
  double hi, lo, result;
  if (is_special(x, &result)) return result;
  split(x, &k, &hi, &lo);
  double high = hi * ivln10hi, whole = k * log10_2hi, sum = whole + high;
  double low = k * log10_2lo + (lo + hi) * ivln10lo + lo * ivln10hi;
  return low + ((whole - sum) + high) + sum;
}
