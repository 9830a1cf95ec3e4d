/* Arguments that nest, from their columns into the arena. */
#include "compiled/described.h"

uint8_t *k_table_add(struct compiled_context *context, struct container *table, const uint8_t *wanted);
uint64_t k_decimal_make(struct compiled_context *context, int64_t low, int64_t high, int32_t exponent);

/* The days and microseconds that Python's classes have. */
#define MIN_DAY (-719162)
#define MAX_DAY 2932896
#define DAY INT64_C(86400000000)

static bool read_value(const struct descriptions *all, const struct described_field *field, uint8_t *slot,
                       const struct column *column, int64_t row, int depth);

static uint8_t *new_slot(struct compiled_context *context, uint32_t stride) {
  uint64_t next = (context->arena_at + (uint64_t)stride + 7) & ~UINT64_C(7);
  if (next > context->arena_end) return NULL;
  uint8_t *at = (uint8_t *)context->arena_at;
  context->arena_at = (uint32_t)next;
  return at;
}

/* Return the list between two places of a column. A NULL in it is for the interpreter. */
static const void *read_list(const struct descriptions *all, const struct described *described,
                             const struct column *values, int64_t start, int64_t stop, int depth) {
  const uint32_t *compared = (const uint32_t *)(const void *)(all->context->constants + described->compared);
  struct container *list = list_with_room(all->context, described->stride, compared, (uint64_t)(stop - start));
  if (list == NULL || (start < stop && described->n_keys != 1)) return NULL;
  for (; start < stop; start++) {
    uint8_t *slot = list->data + (size_t)list->count * list->stride;
    if (column_is_null(values, start) || !read_value(all, described->fields, slot, values, start, depth)) return NULL;
    list->count++;
  }
  return list;
}

static const void *read_struct(const struct descriptions *all, const struct described *described,
                               const struct column *column, int64_t row, int depth) {
  uint8_t *slot = new_slot(all->context, described->stride);
  if (slot == NULL || (int64_t)described->n_keys != column->type->n_children) return NULL;
  for (uint32_t i = 0; i < described->n_keys; i++) {
    if (!read_value(all, &described->fields[i], slot, &column->children[i], row, depth)) return NULL;
  }
  return slot;
}

/* Return the dict of the entries between two places of a MAP's columns. A NULL in it is for the interpreter. */
static const void *read_map(const struct descriptions *all, const struct described *described,
                            const struct column *parts, int64_t start, int64_t stop, int depth) {
  const uint32_t *compared = (const uint32_t *)(const void *)(all->context->constants + described->compared);
  struct container *table = list_with_room(all->context, described->stride, compared, (uint64_t)(stop - start));
  uint8_t *slot = new_slot(all->context, described->stride);
  if (table == NULL || slot == NULL || (start < stop && (described->n_keys != 1 || described->n_values != 1))) {
    return NULL;
  }
  for (; start < stop; start++) {
    for (uint32_t i = 0; i < 2; i++) {
      if (column_is_null(&parts[i], start) || !read_value(all, &described->fields[i], slot, &parts[i], start, depth)) {
        return NULL;
      }
    }
    uint32_t before = table->count;
    if (k_table_add(all->context, table, slot) == NULL || table->count == before) {
      all->context->error = 0;
      return NULL;
    }
  }
  return table;
}

static int container_of(enum sql_kind kind) {
  return kind == SQL_LIST ? OF_LIST : kind == SQL_MAP ? OF_DICT : kind == SQL_STRUCT ? OF_STRUCT : N_CONTAINERS;
}

/* Return a container as a value, 0 for what is left to the interpreter. */
static int64_t read_container(const struct descriptions *all, const struct described_field *field,
                              const struct column *column, int64_t row, int depth) {
  uint32_t number = field->containers[container_of(column->kind)];
  if (number == 0 || depth >= MAX_DEPTH) return 0;
  const struct described *described = described_at(all, number);
  int64_t i = column->first + row;
  const void *made;
  if (column->kind == SQL_LIST) {
    made = read_list(all, described, &column->children[0], column->offsets[i], column->offsets[i + 1], depth + 1);
  } else if (column->kind == SQL_MAP) {
    made = read_map(all, described, column->children, column->offsets[i], column->offsets[i + 1], depth + 1);
  } else {
    made = read_struct(all, described, column, i, depth + 1);
  }
  return (int64_t)((uint64_t)(uint32_t)made << 32);
}

/* Return the type of a value that is read, and the value itself: of 8 bytes. MIXED for what is left to the
 * interpreter. */
static uint32_t read_plain(const struct descriptions *all, const struct column *column, int64_t row, int64_t *value) {
  int64_t i = column->first + row;
  const void *data = column->data;
  double real;
  switch (column->kind) {
    case SQL_BOOLEAN:
      *value = column->type->as_byte ? ((const int8_t *)data)[i] != 0 : ArrowBitGet(data, i);
      return BOOL_TYPE;
    case SQL_TINYINT:
      *value = ((const int8_t *)data)[i];
      return INT_TYPE;
    case SQL_SMALLINT:
      *value = ((const int16_t *)data)[i];
      return INT_TYPE;
    case SQL_INTEGER:
      *value = ((const int32_t *)data)[i];
      return INT_TYPE;
    case SQL_BIGINT:
    case SQL_UBIGINT:
      *value = ((const int64_t *)data)[i];
      return column->kind == SQL_UBIGINT && *value < 0 ? MIXED : INT_TYPE;
    case SQL_UTINYINT:
      *value = ((const uint8_t *)data)[i];
      return INT_TYPE;
    case SQL_USMALLINT:
      *value = ((const uint16_t *)data)[i];
      return INT_TYPE;
    case SQL_UINTEGER:
      *value = ((const uint32_t *)data)[i];
      return INT_TYPE;
    case SQL_FLOAT:
    case SQL_DOUBLE:
      real = column->kind == SQL_FLOAT ? (double)((const float *)data)[i] : ((const double *)data)[i];
      memcpy(value, &real, 8);
      return FLOAT_TYPE;
    case SQL_VARCHAR: {
      int32_t start = column->offsets[i];
      *value = (int64_t)packed((text_t)data + start, (uint32_t)(column->offsets[i + 1] - start));
      return STR_TYPE;
    }
    case SQL_DATE:
      *value = ((const int32_t *)data)[i];
      return *value < MIN_DAY || *value > MAX_DAY ? MIXED : DATE_TYPE;
    case SQL_TIMESTAMP:
      *value = ((const int64_t *)data)[i];
      return *value < MIN_DAY * DAY || *value >= (MAX_DAY + INT64_C(1)) * DAY ? MIXED : DATETIME_TYPE;
    case SQL_DECIMAL: {
      int64_t words[2];
      memcpy(words, (const uint8_t *)data + i * 16, 16);
      *value = (int64_t)k_decimal_make(all->context, words[0], words[1], -column->type->scale);
      return (uint64_t)*value >> 32 == 0 ? MIXED : DECIMAL_TYPE;
    }
    default:
      return MIXED;
  }
}

/* Read a value into a field of a slot. False for what is left to the interpreter. */
static bool read_value(const struct descriptions *all, const struct described_field *field, uint8_t *slot,
                       const struct column *column, int64_t row, int depth) {
  int64_t value = 0;
  uint32_t type = NONE_TYPE;
  if (!column_is_null(column, row)) {
    int number = container_of(column->kind);
    if (number != N_CONTAINERS) {
      static const uint8_t types[] = {[OF_LIST] = LIST_TYPE, [OF_DICT] = DICT_TYPE, [OF_STRUCT] = STRUCT_TYPE};
      value = read_container(all, field, column, row, depth);
      type = value == 0 ? MIXED : types[number];
    } else {
      type = read_plain(all, column, row, &value);
    }
  }
  if (type == MIXED || (field->type != MIXED && field->type != type)) return false;
  memcpy(slot + field->offset, &value, 8);
  if (field->type == MIXED) memcpy(slot + field->offset + 8, &type, 4);
  return true;
}

/* Return the argument of a row, which isn't NULL. */
uint64_t KERNEL(k_argument)(struct compiled_context *context, int32_t number, int32_t row, const uint32_t *words) {
  struct descriptions all = {context, words};
  const struct column *column = &((const struct column *)context->arguments)[number];
  int64_t value = read_container(&all, (const struct described_field *)(const void *)words, column, row, 0);
  return value == 0 ? KERNEL_BAIL : (uint64_t)value;
}
