/* Rows of plain types, whose values a group holds itself. */
#include <string.h>

#include "columns.h"
#include "groups.h"

/* Types of DuckDB's besides those in api.h, whose values are plain bytes of a size. */
enum { INTERVAL = 15, HUGEINT = 16, UUID = 27, TIME_TZ = 30, UHUGEINT = 32 };

/* Return the bytes of a value in DuckDB's vectors; 0 if it refers to others. That of a text is its string_t. */
uint32_t plain_bytes(const struct type *type) {
  switch (type->id) {
    case BOOLEAN:
      return 1;
    case DECIMAL:
      return type->width <= 4 ? 2 : type->width <= 9 ? 4 : type->width <= 18 ? 8 : 16;
    case TIME_TZ:
      return 8;
    case INTERVAL:
    case HUGEINT:
    case UHUGEINT:
    case UUID:
    case VARCHAR:
    case BLOB:
      return 16;
    default:
      return fixed_bytes(type->id);
  }
}

/* Read a vector's type. One with a name of its own (JSON, types of the user's) isn't known. */
struct type plain_type(void *vector) {
  void *logical = D.duckdb_vector_get_column_type(vector);
  char *alias = D.duckdb_logical_type_get_alias(logical);
  struct type type = {.id = D.duckdb_get_type_id(logical)};
  if (type.id == DECIMAL) {
    type.width = D.duckdb_decimal_width(logical);
    type.scale = D.duckdb_decimal_scale(logical);
  }
  if (alias != NULL) {
    D.duckdb_free(alias);
    type.id = 0;
  }
  D.duckdb_destroy_logical_type(&logical);
  return type;
}

/* Take the columns of a call of DuckDB's, from `first` on; false if groups don't hold such rows themselves. */
bool plain_read(struct plain *plain, void *input, int32_t first, int32_t n) {
  *plain = (struct plain){.n_columns = n};
  if (n > PLAIN_COLUMNS) return false;
  for (int32_t i = 0; i < n; i++) {
    struct plain_column *column = &plain->columns[i];
    void *vector = D.duckdb_data_chunk_get_vector(input, (uint64_t)(first + i));
    struct type type = plain_type(vector);
    column->width = plain_bytes(&type);
    if (column->width == 0) return false;
    column->is_text = type.id == VARCHAR || type.id == BLOB;
    column->data = D.duckdb_vector_get_data(vector);
    column->validity = D.duckdb_vector_get_validity(vector);
    plain->types[i] = (struct plain_type){(uint8_t)type.id, type.width, type.scale};
    plain->row_words += (column->width + 7) / 8;
    plain->least_bytes += fixed_bytes(type.id);
  }
  return true;
}

/* Return the words of a row of values of a group. */
uint32_t plain_row_words(const struct group *group) {
  uint32_t words = 0;
  for (int32_t i = 0; i < PLAIN_COLUMNS; i++) {
    words += (plain_bytes(&(struct type){.id = group->types[i].id, .width = group->types[i].width}) + 7) / 8;
  }
  return words;
}

/* Copy a value, of at most two words. */
static inline void copy_value(void *to, const void *from, uint32_t width) {
  switch (width) {
    case 1:
      memcpy(to, from, 1);
      break;
    case 2:
      memcpy(to, from, 2);
      break;
    case 4:
      memcpy(to, from, 4);
      break;
    case 8:
      memcpy(to, from, 8);
      break;
    default:
      memcpy(to, from, 16);
  }
}

/* Read a row: as words, or as a NULL of the only column. Other rows groups don't hold themselves. */
enum plain_kind plain_row(const struct plain *plain, uint64_t row, uint64_t *words) {
  for (int32_t i = 0; i < plain->n_columns; i++) {
    const struct plain_column *column = &plain->columns[i];
    const uint8_t *value = column->data + row * column->width;
    if (!is_valid(column->validity, row)) return plain->n_columns == 1 ? NULLS : SPAN;
    if (column->is_text && ((const union string *)(const void *)value)->short_one.length > MOST_INLINED) return SPAN;
    words[0] = 0;
    copy_value(words, value, column->width);
    words += (column->width + 7) / 8;
  }
  return VALUES;
}

/* Copy the values of a column out of rows that lie side by side. */
void plain_copy(uint8_t *to, const uint64_t *words, uint64_t n, uint32_t row_words, uint32_t width) {
  if (width == 8 * row_words) {
    memcpy(to, words, n * width);
    return;
  }
  for (uint64_t row = 0; row < n; row++) copy_value(to + row * width, words + row * row_words, width);
}
