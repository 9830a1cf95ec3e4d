/* The rows of groups, which are kept until DuckDB wants their results. */
#ifndef NATIVE_GROUPS_H
#define NATIVE_GROUPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api.h"

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

/* Rows of a group that follow each other. */
struct span {
  struct kept *batch;
  uint32_t row, n;
};

/* The source text of an inline function. */
struct code {
  atomic_int references;
  uint32_t bytes;
  char text[];
};

struct collector;

/* Spans that a group has room for by itself. Small groups need no other memory then, of which each further piece is one
 * more miss of the processor's caches for each row. */
#define FEW_SPANS 6

/* What is used for each row comes first: it fills one line of the processor's caches. */
struct group {
  _Atomic(uint64_t) number;      /* changes when it is released: see epochs.c */
  uint64_t rows, bytes;          /* bytes: about */
  uint64_t least_bytes, checked; /* of its columns in Arrow; up to which Python has been asked */
  uint32_t n_spans, room;
  struct span *spans; /* those below, or others */
  struct code *code;  /* NULL: it had none yet */
  struct span few[FEW_SPANS];
  struct group *next, **at; /* in the list of its epoch */
  struct collector *collector;
  uint64_t padding;
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
void group_clear(struct group *);
bool group_add(struct group *, struct kept *, uint32_t row, uint32_t n, int64_t *references);
bool group_append(struct group *, const struct group *other);
const char *group_take_code(struct group *, const char *text, uint32_t bytes, struct code **last);

#endif
