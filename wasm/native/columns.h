/* Columns: DuckDB's vectors into linear memory, and what a guest hands back into DuckDB's vectors. */
#ifndef NATIVE_COLUMNS_H
#define NATIVE_COLUMNS_H

#include "api.h"
#include "calls.h"

#define VECTOR_ROWS 2048 /* the rows of a vector of DuckDB's, and the most that a step of a scan has */

/* A column of a batch, as it is in DuckDB's vector. */
struct column {
  struct type type;
  const uint64_t *validity; /* NULL if no row is NULL */
  const void *data;
  uint64_t bytes; /* of texts */
};

static inline bool is_valid(const uint64_t *validity, uint64_t row) {
  return validity == NULL || (validity[row / 64] >> row % 64 & 1);
}

/* Buffers of linear memory lie anywhere, so values are copied out of them. */
#define LOAD(type, from, row)                                                       \
  ({                                                                                \
    type value_;                                                                    \
    memcpy(&value_, (const uint8_t *)(from) + sizeof(type) * (row), sizeof value_); \
    value_;                                                                         \
  })

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* What a result is made of, wherever it lies. */
struct values {
  const uint8_t *validity;
  const void *data;       /* the values; of texts, their bytes */
  const int32_t *offsets; /* of texts */
};

uint32_t fixed_bytes(int32_t id);
bool column_read(struct column *, const struct type *, void *vector, uint64_t rows);
uint64_t batch_bytes(const struct column *, int32_t n, uint64_t rows, uint64_t *values_bytes);
void batch_write(const struct column *, int32_t n, uint64_t rows, uint8_t *memory, uint32_t base);
bool arguments_copy(const struct column *, int32_t n, uint64_t rows, struct argument *out, void **scratch);

uint64_t texts_bytes(const union string *, const uint64_t *validity, uint64_t rows);
void texts_write(const struct column *, uint64_t rows, uint8_t *offsets, uint8_t *bytes);
bool texts_are_good(const struct values *, uint64_t rows, bool utf8, bool *has_long);
bool texts_put(const struct type *, uint64_t rows, const struct values *, void *vector);
bool is_utf8(const uint8_t *at, uint64_t size);

/* What the guest says of the rows of a batch. */
struct counts {
  int64_t failed, compiled, bailed;
};
bool result_read(const struct type *, uint64_t rows, const uint8_t *memory, uint64_t size, uint32_t at,
                 uint64_t allowed, void *vector, struct counts *counts);

/* The columns of a function that returns rows. */
struct step_columns {
  uint64_t n, n_wanted;
  bool is_row;              /* the guest returns structs of them; otherwise the only column */
  const struct type *types; /* n */
  const uint64_t *order;    /* n: first those that DuckDB wants, in the order of its vectors */
};
bool step_read(const struct step_columns *, const uint8_t *memory, uint64_t size, uint32_t at, uint64_t allowed,
               void *chunk, uint64_t *rows);
bool has_printed(uint32_t at, const uint8_t *memory, uint64_t size);
bool values_put(const struct type *, uint64_t rows, const struct values *, void *vector);

#endif
