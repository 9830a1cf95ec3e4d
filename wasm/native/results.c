/* What a guest hands back into DuckDB's vectors.
 *
 * Every byte of linear memory is hostile: pointers, lengths and offsets are compared with what is there before they are
 * used, in 64 bits, and values with what their type means. What isn't plainly right is left to _arrow/read_result.py,
 * which reads it again and says what is wrong.
 */
#include <math.h>
#include <string.h>

#include "api.h"
#include "columns.h"

struct array32 { /* ArrowArray */
  int64_t length, null_count, offset, n_buffers, n_children;
  uint32_t buffers, children, dictionary, release, private_data, padding;
};

struct result32 { /* udf_result: wasm/c/abi.h */
  struct array32 array;
  uint8_t schema[48];
  int64_t failed_rows, compiled_rows, bailed_rows;
};

/* Years 1 to 9999, and a day more at both ends for what an offset from UTC adds: _arrow/value_checks.py. */
#define FIRST_DAY (-719163)
#define LAST_DAY 2932897
#define DAY INT64_C(86400000000)

static bool inside(uint64_t at, uint64_t bytes, uint64_t size) { return at <= size && bytes <= size - at; }

static bool bit(const uint8_t *bits, uint64_t row) { return bits == NULL || (bits[row / 8] >> row % 8 & 1); }

/* ---- other values
 * ------------------------------------------------------------------------------------------------------- */

#define PUT_INTEGERS(type, least, most)                                   \
  for (uint64_t row = 0; row < rows; row++) {                             \
    int64_t value = LOAD(int64_t, from, row);                             \
    good &= (value >= (least) && value <= (most)) || !bit(validity, row); \
    ((type *)to)[row] = (type)value;                                      \
  }                                                                       \
  break

static bool put_64_bits(int64_t least, int64_t most, uint64_t rows, const void *from, void *to) {
  bool good = true;
  for (uint64_t row = 0; row < rows; row++) { /* those of NULLs too: the guest writes zeros there */
    int64_t value = LOAD(int64_t, from, row);
    good &= value >= least && value <= most;
    ((int64_t *)to)[row] = value;
  }
  return good;
}

/* Make a byte of each bit, eight at a time. */
static void put_booleans(uint64_t rows, const uint8_t *from, uint8_t *to) {
  uint64_t row = 0;
  for (; row + 8 <= rows; row += 8) {
    uint64_t bits = (from[row / 8] * EACH_BYTE(0x01)) & UINT64_C(0x8040201008040201); /* one in each byte */
    bits = (bits + EACH_BYTE(0x7F)) >> 7 & EACH_BYTE(0x01);
    memcpy(to + row, &bits, sizeof bits);
  }
  for (; row < rows; row++) to[row] = bit(from, row);
}

static bool put_dates(uint64_t rows, const void *from, void *to) {
  bool good = true;
  for (uint64_t row = 0; row < rows; row++) {
    int32_t value = LOAD(int32_t, from, row);
    good &= value >= FIRST_DAY && value <= LAST_DAY;
    ((int32_t *)to)[row] = value;
  }
  return good;
}

static bool put_floats(uint64_t rows, const uint8_t *validity, const void *from, void *to) {
  bool good = true;
  for (uint64_t row = 0; row < rows; row++) {
    double value = LOAD(double, from, row);
    float narrow = (float)value;
    good &= !isinf(narrow) || isinf(value) || !bit(validity, row);
    ((float *)to)[row] = narrow;
  }
  return good;
}

/* Copy integers of 128 bits into narrower ones; `wrong` gets its highest bit if one isn't within `most`, which is less
 * than half of what 64 bits have. */
#define NARROW_INTEGERS(type)                                                                 \
  for (uint64_t row = 0; row < rows; row++) {                                                 \
    uint64_t value = LOAD(uint64_t, from, 2 * row), high = LOAD(uint64_t, from, 2 * row + 1); \
    wrong |= (most + value) | (most - value);                                                 \
    wide |= high + (value >> 63); /* 0 for 0, and for -1 if negative */                       \
    ((type *)to)[row] = (type)value;                                                          \
  }                                                                                           \
  break

/* Return whether the decimals of the rows that aren't NULL are within `most`. */
static bool decimals_are_good(int64_t most, uint64_t rows, const uint8_t *validity, const void *from) {
  for (uint64_t row = 0; row < rows; row++) {
    int64_t value = LOAD(int64_t, from, 2 * row), high = LOAD(int64_t, from, 2 * row + 1);
    if (bit(validity, row) && (high != (value < 0 ? -1 : 0) || value > most || value < -most)) return false;
  }
  return true;
}

static bool put_decimals(const struct type *type, uint64_t rows, const uint8_t *validity, const void *from, void *to) {
  uint64_t most = 1, wrong = 0, wide = 0;
  for (int i = 0; i < type->width; i++) most *= 10;
  most--;
  switch (type->width <= 4 ? 2 : type->width <= 9 ? 4 : 8) {
    case 2:
      NARROW_INTEGERS(int16_t);
    case 4:
      NARROW_INTEGERS(int32_t);
    default:
      NARROW_INTEGERS(int64_t);
  }
  if (wide == 0 && wrong >> 63 == 0) return true;
  return validity != NULL && decimals_are_good((int64_t)most, rows, validity, from); /* NULLs may be anything */
}

/* Put the results into a vector; false if one is outside of what the type means. The buffers have the size they need.
 */
bool values_put(const struct type *type, uint64_t rows, const struct values *values, void *vector) {
  const uint8_t *validity = values->validity;
  const void *from = values->data;
  void *to = D.duckdb_vector_get_data(vector);
  bool good = true;
  switch (type->id) {
    case BOOLEAN:
      put_booleans(rows, from, to);
      break;
    case TINYINT:
      PUT_INTEGERS(int8_t, INT8_MIN, INT8_MAX);
    case SMALLINT:
      PUT_INTEGERS(int16_t, INT16_MIN, INT16_MAX);
    case INTEGER:
      PUT_INTEGERS(int32_t, INT32_MIN, INT32_MAX);
    case UTINYINT:
      PUT_INTEGERS(uint8_t, 0, UINT8_MAX);
    case USMALLINT:
      PUT_INTEGERS(uint16_t, 0, UINT16_MAX);
    case UINTEGER:
      PUT_INTEGERS(uint32_t, 0, UINT32_MAX);
    case BIGINT:
    case UBIGINT:
    case DOUBLE:
      memcpy(to, from, 8 * rows);
      break;
    case FLOAT:
      good = put_floats(rows, validity, from, to);
      break;
    case DATE:
      good = put_dates(rows, from, to);
      break;
    case TIME:
      good = put_64_bits(0, DAY - 1, rows, from, to);
      break;
    case TIMESTAMP:
    case TIMESTAMP_TZ:
      good = put_64_bits(FIRST_DAY * DAY, (LAST_DAY + 1) * DAY, rows, from, to);
      break;
    case DECIMAL:
      good = put_decimals(type, rows, validity, from, to);
      break;
    case VARCHAR:
    case BLOB:
      good = texts_put(type, rows, values, vector);
      break;
    default:
      good = false;
  }
  if (good && validity != NULL) {
    D.duckdb_vector_ensure_validity_writable(vector);
    memcpy(D.duckdb_vector_get_validity(vector), validity, (rows + 7) / 8);
  }
  return good;
}

/* Return the bytes of a value as guests build it: type_mapping.result_type. */
static uint64_t built_bytes(const struct type *type, uint64_t rows) {
  switch (type->id) {
    case BOOLEAN:
      return (rows + 7) / 8;
    case DATE:
      return 4 * rows;
    case DECIMAL:
      return 16 * rows;
    case VARCHAR:
    case BLOB:
      return 4 * (rows + 1);
    default:
      return 8 * rows;
  }
}

/* ---- what a guest hands over ---------------------------------------------------------------------------------------
 */

static bool result_find(const uint8_t *memory, uint64_t size, uint32_t at, struct result32 *result) {
  if (!inside(at, sizeof *result, size)) return false;
  memcpy(result, memory + at, sizeof *result);
  return true;
}

static bool counts_are_good(const struct counts *counts, int64_t rows) {
  return counts->failed >= 0 && counts->failed <= rows && counts->compiled >= 0 && counts->compiled <= rows &&
         counts->bailed >= 0 && counts->bailed <= rows - counts->compiled;
}

/* Find the buffers of a column, and add the bytes that they take; false if they aren't as they should be. */
static bool column_find(const struct type *type, uint64_t rows, const struct array32 *array, const uint8_t *memory,
                        uint64_t size, struct values *values, uint64_t *taken) {
  bool text = type->id == VARCHAR || type->id == BLOB;
  int64_t n_buffers = text ? 3 : 2;
  if (array->length != (int64_t)rows || array->offset != 0 || array->n_children != 0) return false;
  if (array->n_buffers != n_buffers || array->dictionary != 0) return false;
  if (!inside(array->buffers, 4 * (uint64_t)n_buffers, size)) return false;
  uint32_t buffers[3];
  memcpy(buffers, memory + array->buffers, 4 * (size_t)n_buffers);
  uint64_t bitmap = buffers[0] != 0 ? (rows + 7) / 8 : 0, fixed = built_bytes(type, rows);
  if (!inside(buffers[0], bitmap, size) || !inside(buffers[1], fixed, size)) return false;
  *values = (struct values){buffers[0] != 0 ? memory + buffers[0] : NULL, memory + buffers[1], NULL};
  *taken += bitmap + fixed;
  if (text) {
    values->offsets = values->data;
    int32_t end = LOAD(int32_t, values->offsets, rows);
    if (end < 0 || !inside(end > 0 ? buffers[2] : 0, (uint64_t)end, size)) return false;
    values->data = memory + (end > 0 ? buffers[2] : 0);
    *taken += (uint64_t)end;
  }
  return true;
}

/* Put the result of a call into a vector; false if anything about it isn't as it should be.
 *
 * `memory` are the `size` bytes of the guest, `at` is where it says that its `udf_result` is, and `allowed` is the most
 * that the buffers may take. */
bool result_read(const struct type *type, uint64_t rows, const uint8_t *memory, uint64_t size, uint32_t at,
                 uint64_t allowed, void *vector, struct counts *counts) {
  struct result32 result;
  struct values values;
  uint64_t taken = 0;
  if (!result_find(memory, size, at, &result)) return false;
  *counts = (struct counts){result.failed_rows, result.compiled_rows, result.bailed_rows};
  return counts_are_good(counts, (int64_t)rows) &&
         column_find(type, rows, &result.array, memory, size, &values, &taken) && taken <= allowed &&
         values_put(type, rows, &values, vector);
}

/* ---- steps of scans ------------------------------------------------------------------------------------------------
 */

/* Return whether nothing is wrong with the values of a column that DuckDB doesn't want. */
static bool values_are_good(const struct type *type, uint64_t rows, const struct values *values) {
  int64_t unwanted[VECTOR_ROWS];
  bool has_long;
  switch (type->id) {
    case DATE:
      return put_dates(rows, values->data, unwanted);
    case TIME:
      return put_64_bits(0, DAY - 1, rows, values->data, unwanted);
    case TIMESTAMP:
    case TIMESTAMP_TZ:
      return put_64_bits(FIRST_DAY * DAY, (LAST_DAY + 1) * DAY, rows, values->data, unwanted);
    case DECIMAL:
      return put_decimals(type, rows, values->validity, values->data, unwanted);
    case VARCHAR:
    case BLOB:
      return texts_are_good(values, rows, type->id == VARCHAR, &has_long);
    default:
      return true; /* whatever a type makes of the values that were built */
  }
}

/* Make the rows NULL that a guest has returned None for. */
static void put_null_rows(const uint8_t *validity, uint64_t rows, void *vector) {
  D.duckdb_vector_ensure_validity_writable(vector);
  uint8_t *mask = (uint8_t *)D.duckdb_vector_get_validity(vector);
  for (uint64_t i = 0; i < (rows + 7) / 8; i++) mask[i] &= validity[i];
}

static bool put_rows(const struct step_columns *columns, uint64_t rows, const struct result32 *result,
                     const uint8_t *memory, uint64_t size, uint64_t allowed, void *chunk) {
  const struct array32 *row = &result->array;
  const uint8_t *validity = NULL;
  uint64_t taken = 0;
  if (columns->is_row) {
    uint32_t bitmap;
    if (row->offset != 0 || row->dictionary != 0 || row->n_buffers != 1) return false;
    if (row->n_children != (int64_t)columns->n || !inside(row->children, 4 * columns->n, size)) return false;
    if (!inside(row->buffers, sizeof bitmap, size)) return false;
    memcpy(&bitmap, memory + row->buffers, sizeof bitmap);
    if (bitmap != 0) {
      if (!inside(bitmap, (rows + 7) / 8, size)) return false;
      validity = memory + bitmap;
      taken = (rows + 7) / 8;
    }
  }
  for (uint64_t i = 0; i < columns->n; i++) {
    uint64_t column = columns->order[i];
    const struct type *type = &columns->types[column];
    struct array32 array = *row;
    struct values values;
    if (columns->is_row) {
      uint32_t at;
      memcpy(&at, memory + row->children + 4 * column, sizeof at);
      if (!inside(at, sizeof array, size)) return false;
      memcpy(&array, memory + at, sizeof array);
    }
    if (!column_find(type, rows, &array, memory, size, &values, &taken) || taken > allowed) return false;
    if (i >= columns->n_wanted) {
      if (!values_are_good(type, rows, &values)) return false;
      continue;
    }
    void *vector = D.duckdb_data_chunk_get_vector(chunk, i);
    if (!values_put(type, rows, &values, vector)) return false;
    if (validity != NULL) put_null_rows(validity, rows, vector);
  }
  return true;
}

/* Put the rows of a step into the vectors of a chunk, as `result_read` does. */
bool step_read(const struct step_columns *columns, const uint8_t *memory, uint64_t size, uint32_t at, uint64_t allowed,
               void *chunk, uint64_t *rows) {
  struct result32 result;
  if (!result_find(memory, size, at, &result)) return false;
  if (result.array.length < 0 || result.array.length > VECTOR_ROWS) return false;
  struct counts counts = {result.failed_rows, result.compiled_rows, result.bailed_rows};
  *rows = (uint64_t)result.array.length;
  return counts_are_good(&counts, result.array.length) &&
         put_rows(columns, *rows, &result, memory, size, allowed, chunk);
}

/* Return whether a guest has printed something, or its memory doesn't say: udf_output, of which the third field counts
 * all bytes. */
bool has_printed(uint32_t at, const uint8_t *memory, uint64_t size) {
  uint32_t fields[3];
  if (!inside(at, sizeof fields, size)) return true;
  memcpy(fields, memory + at, sizeof fields);
  return fields[1] != 0 || fields[2] != 0;
}
