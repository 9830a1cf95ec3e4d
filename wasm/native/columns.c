/* DuckDB's vectors into linear memory: the layout is that of Batch in _arrow/write_batch.py. */
#include "columns.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"

struct array32 { /* ArrowArray with 32-bit pointers */
  int64_t length, null_count, offset, n_buffers, n_children;
  uint32_t buffers, children, dictionary, release, private_data, padding;
};

static uint64_t align64(uint64_t n) { return (n + 63) & ~(uint64_t)63; }

static uint64_t bitmap_bytes(uint64_t rows) { return (rows + 7) / 8; }

static bool all_valid(const uint64_t *validity, uint64_t rows) {
  if (validity == NULL) return true;
  uint64_t missing = 0;
  for (uint64_t word = 0; word < rows / 64; word++) missing |= ~validity[word];
  if (rows % 64) missing |= ~validity[rows / 64] & (((uint64_t)1 << rows % 64) - 1);
  return missing == 0;
}

static bool is_text(int32_t id) { return id == VARCHAR || id == BLOB; }

/* Return the bytes that each value of a type takes both in DuckDB's vectors and in Arrow; 0 if they differ. */
uint32_t fixed_bytes(int32_t id) {
  switch (id) {
    case TINYINT:
    case UTINYINT:
      return 1;
    case SMALLINT:
    case USMALLINT:
      return 2;
    case INTEGER:
    case UINTEGER:
    case FLOAT:
    case DATE:
      return 4;
    case BIGINT:
    case UBIGINT:
    case DOUBLE:
    case TIMESTAMP:
    case TIME:
    case TIMESTAMP_S:
    case TIMESTAMP_MS:
    case TIMESTAMP_NS:
    case TIMESTAMP_TZ:
      return 8;
    default:
      return 0;
  }
}

/* Return the bytes of a value in DuckDB's vector. */
static uint64_t width_of(const struct type *type) {
  if (type->id == DECIMAL) return type->width <= 4 ? 2 : type->width <= 9 ? 4 : type->width <= 18 ? 8 : 16;
  return type->id == BOOLEAN ? 1 : fixed_bytes(type->id);
}

/* Return the bytes that the values of a column take in Arrow's layout, but for texts. */
static uint64_t values_bytes_of(const struct type *type, uint64_t rows) {
  if (type->id == BOOLEAN) return bitmap_bytes(rows);
  return rows * (type->id == DECIMAL ? 16 : width_of(type));
}

/* Take a vector; false if it is too large. */
bool column_read(struct column *column, const struct type *type, void *vector, uint64_t rows) {
  column->type = *type;
  column->data = D.duckdb_vector_get_data(vector);
  column->validity = D.duckdb_vector_get_validity(vector);
  if (all_valid(column->validity, rows)) column->validity = NULL;
  column->bytes = 0;
  if (!is_text(type->id)) return true;
  column->bytes = texts_bytes(column->data, column->validity, rows);
  return column->bytes < INT32_MAX;
}

/* Return the size of a batch in linear memory, and that of its buffers alone. */
uint64_t batch_bytes(const struct column *columns, int32_t n, uint64_t rows, uint64_t *values_bytes) {
  uint64_t pointers = 1 + (uint64_t)n, data = 0;
  *values_bytes = 0;
  for (const struct column *column = columns; column < columns + n; column++) {
    uint64_t validity = column->validity != NULL ? bitmap_bytes(rows) : 0;
    uint64_t first = is_text(column->type.id) ? 4 * (rows + 1) : values_bytes_of(&column->type, rows);
    pointers += is_text(column->type.id) ? 3 : 2;
    data += align64(validity) + align64(first) + align64(column->bytes);
    *values_bytes += validity + first + column->bytes;
  }
  return align64(sizeof(struct array32) * (1 + (uint64_t)n) + 4 * pointers) + data;
}

/* Copy integers into those of 128 bits. */
#define WIDEN_INTEGERS(type)                           \
  for (uint64_t row = 0; row < rows; row++) {          \
    int64_t value = ((const type *)column->data)[row]; \
    int64_t both[2] = {value, value >> 63};            \
    memcpy(out + 16 * row, both, 16);                  \
  }                                                    \
  break

static void put_decimals(const struct column *column, uint64_t rows, uint8_t *out) {
  switch (width_of(&column->type)) {
    case 2:
      WIDEN_INTEGERS(int16_t);
    case 4:
      WIDEN_INTEGERS(int32_t);
    case 8:
      WIDEN_INTEGERS(int64_t);
    default:
      memcpy(out, column->data, 16 * rows);
  }
  for (uint64_t first = 0; first < rows && column->validity != NULL; first += 64) {
    uint64_t missing = ~column->validity[first / 64];
    for (; missing != 0; missing &= missing - 1) { /* a row that is NULL may be anything */
      uint64_t row = first + (uint64_t)__builtin_ctzll(missing);
      if (row < rows) memset(out + 16 * row, 0, 16);
    }
  }
}

/* Make a bit of each byte, eight at a time. */
static void put_booleans(const struct column *column, uint64_t rows, uint8_t *out) {
  const uint8_t *values = column->data;
  uint64_t row = 0;
  for (; row + 8 <= rows; row += 8) {
    uint64_t bytes = LOAD(uint64_t, values + row, 0);
    bytes = ((bytes & EACH_BYTE(0x7F)) + EACH_BYTE(0x7F)) | bytes; /* the highest bit of those that aren't 0 */
    out[row / 8] = (uint8_t)(((bytes >> 7 & EACH_BYTE(0x01)) * UINT64_C(0x0102040810204080)) >> 56);
  }
  if (row < rows) out[row / 8] = 0;
  for (; row < rows; row++) out[row / 8] |= (uint8_t)((values[row] != 0) << row % 8);
}

static void put_values(const struct column *column, uint64_t rows, uint8_t *out) {
  switch (column->type.id) {
    case BOOLEAN:
      put_booleans(column, rows, out);
      break;
    case DECIMAL:
      put_decimals(column, rows, out);
      break;
    default:
      memcpy(out, column->data, rows * width_of(&column->type));
  }
}

/* Write a batch of `batch_bytes` at `base` of a memory. */
void batch_write(const struct column *columns, int32_t n, uint64_t rows, uint8_t *memory, uint32_t base) {
  uint32_t n_columns = (uint32_t)n, n_pointers = 1 + n_columns;
  for (int32_t i = 0; i < n; i++) n_pointers += is_text(columns[i].type.id) ? 3 : 2;
  uint32_t at = base + (uint32_t)sizeof(struct array32) * (1 + n_columns); /* of the next pointer */
  uint32_t data = base + (uint32_t)align64(at - base + 4 * n_pointers);
  struct array32 *arrays = (struct array32 *)(memory + base);
  uint32_t *pointers = (uint32_t *)(memory + at);
  arrays[0] = (struct array32){.length = (int64_t)rows, .n_buffers = 1, .n_children = n, .release = 1};
  arrays[0].children = at;
  for (uint32_t i = 0; i < n_columns; i++) *pointers++ = base + (uint32_t)sizeof(struct array32) * (1 + i);
  arrays[0].buffers = at + 4 * n_columns;
  *pointers++ = 0; /* no row is NULL as a whole */
  for (uint32_t i = 0; i < n_columns; i++) {
    const struct column *column = &columns[i];
    bool text = is_text(column->type.id);
    arrays[1 + i] = (struct array32){.length = (int64_t)rows, .n_buffers = text ? 3 : 2, .release = 1};
    arrays[1 + i].null_count = column->validity != NULL ? -1 : 0; /* not counted: the guest looks at the bits */
    arrays[1 + i].buffers = (uint32_t)((uint8_t *)pointers - memory);
    *pointers++ = column->validity != NULL ? data : 0;
    if (column->validity != NULL) {
      memcpy(memory + data, column->validity, bitmap_bytes(rows));
      data += (uint32_t)align64(bitmap_bytes(rows));
    }
    *pointers++ = data;
    if (!text) {
      put_values(column, rows, memory + data);
      data += (uint32_t)align64(values_bytes_of(&column->type, rows));
      continue;
    }
    uint32_t bytes_at = data + (uint32_t)align64(4 * (rows + 1));
    *pointers++ = bytes_at;
    texts_write(column, rows, memory + data, memory + bytes_at);
    data = bytes_at + (uint32_t)align64(column->bytes);
  }
}

/* Describe a batch to Python, in Arrow's layout; what DuckDB has in another one is copied into `*scratch`. */
bool arguments_copy(const struct column *columns, int32_t n, uint64_t rows, struct argument *out, void **scratch) {
  uint64_t size = 64;
  for (int32_t i = 0; i < n; i++) {
    bool text = is_text(columns[i].type.id);
    size += align64(columns[i].bytes) + align64(text ? 4 * (rows + 1) : values_bytes_of(&columns[i].type, rows));
  }
  uint8_t *at = *scratch = malloc(size);
  if (at == NULL) return false;
  for (int32_t i = 0; i < n; i++) {
    const struct column *column = &columns[i];
    const struct type *type = &column->type;
    out[i] = (struct argument){.id = type->id, .width = type->width, .scale = type->scale};
    out[i].validity = (const uint8_t *)column->validity;
    out[i].values = at;
    if (is_text(type->id)) {
      out[i].offsets = (int32_t *)at;
      out[i].values = at += align64(4 * (rows + 1));
      out[i].bytes = (int64_t)column->bytes;
      texts_write(column, rows, (uint8_t *)out[i].offsets, at);
      at += align64(column->bytes);
      continue;
    }
    out[i].bytes = (int64_t)values_bytes_of(type, rows);
    put_values(column, rows, at);
    at += align64(values_bytes_of(type, rows));
  }
  return true;
}
