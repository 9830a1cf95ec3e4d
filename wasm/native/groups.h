/* The rows of groups, which are kept until DuckDB wants their results. */
#ifndef NATIVE_GROUPS_H
#define NATIVE_GROUPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"
#include "calls.h"

/* The rows of a vector of DuckDB's: STANDARD_VECTOR_SIZE. */
#define MOST_ROWS 2048

/* A column of a batch. `data` is NULL if some are NULL or nested: DuckDB copies those. */
struct kept_column {
  void *vector; /* duckdb_vector */
  const uint8_t *data;
  uint32_t width; /* of a value; of a text its string_t, which points to what the vector holds */
};

/* Rows that DuckDB has brought at once: a copy, which does not change any more. */
struct kept {
  atomic_llong references;   /* of spans */
  uint64_t bytes, row_bytes; /* of all rows, and about of one */
  int32_t n_columns;
  uint32_t rows, least_bytes; /* least_bytes: of a row in Arrow, as far as its type says it */
  struct kept_column columns[];
};

/* What a group has are entries of words, of which the first says the kind in its lowest bits.
 *
 * SPAN: the batch, which is aligned; then the first row and, from bit 32 on, the number of rows.
 * VALUES: the number of rows from bit 2 on; then the values of each row, of each column one or two words.
 * NULLS: the number of rows from bit 2 on. There is one column.
 */
enum plain_kind { SPAN, VALUES, NULLS };
#define KIND_BITS 2

struct entry {
  enum plain_kind kind;
  struct kept *batch;    /* of a span */
  const uint64_t *words; /* of values */
  uint64_t row, n;
};

/* Columns whose values a group can hold itself. More than two take less memory as spans. */
#define PLAIN_COLUMNS 2

struct plain_type {
  uint8_t id, width, scale; /* as in struct type */
};

struct plain_column {
  const uint8_t *data;
  const uint64_t *validity;
  uint32_t width;
  bool is_text;
};

/* The rows of a call of DuckDB's, if groups can hold some of them themselves. */
struct plain {
  int32_t n_columns;
  uint32_t row_words, least_bytes;
  struct plain_type types[PLAIN_COLUMNS];
  struct plain_column columns[PLAIN_COLUMNS];
};

/* The source text of an inline function. */
struct code {
  atomic_int references;
  uint32_t bytes;
  char text[];
};

struct collector;

/* Words that a group has room for by itself: eleven values of one word. Small groups need no other memory then, of
 * which each further piece is one more miss of the processor's caches for each row. */
#define FEW_WORDS 12

/* What is used for each row comes first: it fills one line of the processor's caches. */
struct group {
  _Atomic(uint64_t) number; /* changes when it is released: see epochs.c */
  uint64_t rows, bytes;     /* bytes: about */
  uint64_t least_bytes;     /* of its columns in Arrow */
  uint32_t has_spans : 1;
  uint32_t checked : 31; /* CHECK_BYTES up to which Python has been asked */
  uint32_t last;         /* word that the last entry begins with */
  uint32_t n_words, room;
  uint64_t *words;   /* those below, or others */
  struct code *code; /* NULL: it had none yet */
  uint64_t few[FEW_WORDS];
  struct group *next, **at; /* in the list of its epoch */
  union {
    struct collector *collector;
    struct group *next_chain; /* of the first of a chain of free groups */
  };
  struct plain_type types[PLAIN_COLUMNS]; /* of the values that it holds itself; 0: there are none yet */
  uint8_t padding[2];
};
_Static_assert(sizeof(struct group) % 64 == 0 && offsetof(struct group, few) == 64, "lines of the processor's caches");

/* What DuckDB has of a group, and moves as it likes. */
struct state {
  struct group *group; /* NULL: no rows */
  uint64_t number;     /* that it had then */
  uint64_t begun;      /* the number of the last cancel when DuckDB began the state */
};

/* Python is asked whether more may be held each time that so much has come. */
#define CHECK_BYTES (UINT64_C(16) << 20)

bool held_much(uint64_t *now);
void forget_held(void);
struct kept *kept_new(void *input, int32_t first, int32_t n, uint32_t rows);
void kept_hold(struct kept *, int64_t references);
void kept_release(struct kept *);
void group_start(struct group *);
void hold(uint64_t bytes);
void group_clear(struct group *);
uint32_t entry_read(const struct group *, uint32_t at, uint32_t row_words, struct entry *);
bool group_add(struct group *, struct kept *, uint32_t row, uint32_t n, int64_t *references);
bool group_add_plain(struct group *, const struct plain *, enum plain_kind, const uint64_t *words);
bool group_append(struct group *, const struct group *other);
bool plain_read(struct plain *, void *input, int32_t first, int32_t n);
struct type plain_type(void *vector);
uint32_t plain_bytes(const struct type *);
uint32_t plain_row_words(const struct group *);
enum plain_kind plain_row(const struct plain *, uint64_t row, uint64_t *words);
void plain_copy(uint8_t *to, const uint64_t *words, uint64_t n, uint32_t row_words, uint32_t width);
const char *group_take_code(struct group *, const char *text, uint32_t bytes, struct code **last);

#endif
