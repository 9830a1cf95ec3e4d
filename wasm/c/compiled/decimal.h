/* Decimals as compiled code has them, and what their kernels have in common. */
#ifndef UDF_COMPILED_DECIMAL_H
#define UDF_COMPILED_DECIMAL_H

#define CONFIG_32 1
#define ANSI 1
#include <mpdecimal.h>

#include "compiled/text.h"

/* A finite decimal in the arena or among the constants, at most 38 digits. wasm/python/_udf_compiler/constants.py
 * writes it too. */
struct decimal {
  uint64_t low, high; /* of its digits as an integer */
  int32_t exponent;
  uint32_t negative;
};

typedef unsigned __int128 digits_t;

#define WORDS 5              /* of 9 digits, that 39 digits take */
#define NEAR_EXPONENT 100000 /* exponents up to here are far from all bounds */
#define MOST_TENS 18

extern const mpd_context_t decimal_defaults;       /* the default context */
extern const uint64_t decimal_tens[MOST_TENS + 1]; /* powers of ten */

static inline digits_t digits_of(const struct decimal *d) { return (digits_t)d->high << 64 | d->low; }

static inline bool is_small(const struct decimal *d) {
  return d->high == 0 && d->low < decimal_tens[MOST_TENS] && d->exponent > -NEAR_EXPONENT &&
         d->exponent < NEAR_EXPONENT;
}

/* A number of libmpdec that is only read. */
struct operand {
  mpd_t number;
  mpd_uint_t words[WORDS];
};

/* Return a decimal as libmpdec has them. */
const mpd_t *decimal_operand(struct operand *to, const struct decimal *from);

/* Return a result of libmpdec, and free it; or the error that its signals are. */
uint64_t decimal_result(struct compiled_context *context, mpd_t *number, uint32_t signals);

/* A number of libmpdec that a result goes into. */
#define RESULT(name)                         \
  mpd_uint_t name##_words[MPD_MINALLOC_MAX]; \
  mpd_t name = {MPD_STATIC | MPD_STATIC_DATA, 0, 0, 0, MPD_MINALLOC_MAX, name##_words}

#endif
