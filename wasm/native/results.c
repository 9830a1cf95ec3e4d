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

/* Buffers of linear memory lie anywhere, so values are copied out of them. */
#define LOAD(type, from, row)                                                       \
  ({                                                                                \
    type value_;                                                                    \
    memcpy(&value_, (const uint8_t *)(from) + sizeof(type) * (row), sizeof value_); \
    value_;                                                                         \
  })

static bool bit(const uint8_t *bits, uint64_t row) { return bits == NULL || (bits[row / 8] >> row % 8 & 1); }

/* ---- texts
 * ------------------------------------------------------------------------------------------------------------- */

/* Return whether bytes are UTF-8: the Unicode standard, table 3-7. */
static bool is_utf8(const uint8_t *at, uint64_t size) {
  const uint8_t *end = at + size;
  while (at < end) {
    while (end - at >= 8 && (LOAD(uint64_t, at, 0) & UINT64_C(0x8080808080808080)) == 0) at += 8;
    if (at == end) break;
    uint8_t first = *at;
    if (first < 0x80) {
      at++;
      continue;
    }
    int more = first >= 0xC2 && first <= 0xDF ? 1 : (first & 0xF0) == 0xE0 ? 2 : first >= 0xF0 && first <= 0xF4 ? 3 : 0;
    if (more == 0 || end - at <= more) return false;
    uint8_t least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < least || at[1] > most) return false;
    for (int i = 2; i <= more; i++) {
      if ((at[i] & 0xC0) != 0x80) return false;
    }
    at += more + 1;
  }
  return true;
}

/* Check offsets, which are in order and end inside the bytes, and what lies between them. */
static bool texts_are_good(const struct values *values, uint64_t rows, bool utf8) {
  const uint8_t *bytes = values->data;
  int32_t last = LOAD(int32_t, values->offsets, 0), end = LOAD(int32_t, values->offsets, rows);
  if (last != 0) return false;
  for (uint64_t row = 1; row <= rows; row++) {
    int32_t offset = LOAD(int32_t, values->offsets, row);
    if (offset < last || offset > end) return false;
    if (utf8 && offset < end && (bytes[offset] & 0xC0) == 0x80) return false; /* amid a character */
    last = offset;
  }
  return !utf8 || is_utf8(bytes, (uint64_t)end);
}

static bool put_texts(const struct type *type, uint64_t rows, const struct values *values, void *vector) {
  if (!texts_are_good(values, rows, type->id == VARCHAR)) return false;
  const char *bytes = values->data, *heap = NULL;
  union string *strings = D.duckdb_vector_get_data(vector);
  int32_t begin = 0, total = LOAD(int32_t, values->offsets, rows);
  for (uint64_t row = 0; row < rows; row++) {
    int32_t stop = LOAD(int32_t, values->offsets, row + 1);
    uint32_t length = (uint32_t)(stop - begin);
    union string text = {0};
    text.short_one.length = length;
    if (length <= MOST_INLINED) {
      memcpy(text.short_one.bytes, bytes + begin, length);
    } else {
      if (heap == NULL) { /* all bytes at once, as if they were this row's: one by one takes ten times as long */
        D.duckdb_unsafe_vector_assign_string_element_len(vector, row, bytes, (uint64_t)total);
        heap = strings[row].long_one.pointer;
      }
      memcpy(text.long_one.prefix, bytes + begin, sizeof text.long_one.prefix);
      text.long_one.pointer = (char *)heap + begin;
    }
    strings[row] = text;
    begin = stop;
  }
  return true;
}

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

static bool put_decimals(const struct type *type, uint64_t rows, const uint8_t *validity, const void *from, void *to) {
  int64_t most = 1;
  for (int i = 0; i < type->width; i++) most *= 10;
  bool good = true;
  for (uint64_t row = 0; row < rows; row++) {
    int64_t value = LOAD(int64_t, from, 2 * row), high = LOAD(int64_t, from, 2 * row + 1);
    good &= (high == (value < 0 ? -1 : 0) && value < most && value > -most) || !bit(validity, row);
    if (type->width <= 4) {
      ((int16_t *)to)[row] = (int16_t)value;
    } else if (type->width <= 9) {
      ((int32_t *)to)[row] = (int32_t)value;
    } else {
      ((int64_t *)to)[row] = value;
    }
  }
  return good;
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
      for (uint64_t row = 0; row < rows; row++) ((uint8_t *)to)[row] = bit(from, row);
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
      good = put_texts(type, rows, values, vector);
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
      return texts_are_good(values, rows, type->id == VARCHAR);
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
