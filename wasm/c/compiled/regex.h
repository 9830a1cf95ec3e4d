/* The matcher of regular expressions, for programs that wasm/python/_udf_compiler/regex_program.py makes of what
 * CPython's own parser makes of a pattern.
 *
 * The matcher tries alternatives in the order in which CPython's does, so it finds the same match. It remembers at
 * which positions which choice has been tried, because a second try would fail like the first one: a search takes time
 * in proportion to the text times the choices of the pattern. A program is a header and instructions, all words of 32
 * bits.
 */
#ifndef UDF_COMPILED_REGEX_H
#define UDF_COMPILED_REGEX_H

#include "compiled/text.h"

enum {
  HEAD_FLAGS,     /* below */
  HEAD_SLOTS,     /* 2 for the match and 2 for each group: where it begins and ends */
  HEAD_STRIDE,    /* bytes of the marks of one position, a bit for each choice */
  HEAD_HAS_FIRST, /* whether the characters are known that a match begins with */
  HEAD_FIRST,     /* a bit for each of them that is ASCII, 4 words */
  HEAD_OTHER = 8, /* whether others may begin a match */
  HEAD_WORDS
};
enum { FLAG_ASCII = 1, FLAG_ANCHORED = 2 }; /* it wants text that is ASCII; it matches at the text's beginning only */

enum outcome { FAILED, MATCHED, NO_ROOM };

/* The place of a group that is no part of the match. */
#define UNSET UINT32_MAX

/* What to go on with if the present way fails: an instruction and a position, or a slot and what it was. */
struct job {
  uint32_t to, at;
};
#define JOB_SLOT (UINT32_C(1) << 31)

struct matcher {
  const uint32_t *program;
  text_t p;
  uint32_t n;
  uint32_t *slots;
  uint8_t *visited; /* HEAD_STRIDE bytes for each position */
  uint32_t touched; /* the last position that has marks */
  struct job *stack, *limit;
  bool whole; /* the match has to end where the text does */
  /* Room for results in the arena. */
  uint8_t *out, *out_end;
  /* Of the search for the next match. */
  uint32_t from;
  bool advance;
};

/* Prepare to match a text; whether there is room for it. The upper half of what is left of the arena is for the
 * matcher, the lower half for results. */
bool regex_prepare(struct matcher *m, const struct compiled_context *context, uint32_t program, text_t p, uint32_t n);

/* Match from a position on. With `advance` the match must not be empty. */
enum outcome regex_match_at(struct matcher *m, uint32_t start, bool advance);

/* Search from a position on, where the match must not be empty with `advance`. */
enum outcome regex_search(struct matcher *m, uint32_t from, bool advance);

/* Find the next match, as re.finditer does. */
enum outcome regex_next(struct matcher *m);

#endif
