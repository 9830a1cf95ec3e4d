#include "codec/decode.h"

#include <assert.h>
#include <string.h>

#include "codec/calendar.h"
#include "codec/decode_scalars.h"
#include "codec/decode_variant.h"

/* ---- a batch ----------------------------------------------------------------------------------------------------- */

int column_init(struct column *column, const struct value_type *type) {
  *column = (struct column){.kind = type->kind, .type = type};
  column->children = calloc((size_t)type->n_children + 1, sizeof *column->children);
  if (column->children == NULL) return out_of_memory();
  for (int64_t i = 0; i < type->n_children; i++) {
    if (column_init(&column->children[i], &type->children[i]) < 0) return -1;
  }
  return 0;
}

/* Make room for an ENUM's values. Each is decoded when a row first shows it. */
static int open_enum(struct column *column) {
  for (int64_t i = 0; i < column->n_known; i++) Py_XDECREF(column->known[i]);
  free(column->known);
  column->n_known = column->view->dictionary->length;
  column->known = calloc((size_t)column->n_known + 1, sizeof *column->known);
  if (column->known == NULL) {
    column->n_known = 0;
    return out_of_memory();
  }
  return column_open(&column->children[0], column->view->dictionary);
}

/* Number of strings that a VARCHAR column remembers: a power of 2, of which the hash is a number below. */
#define KNOWN_STRINGS_BITS 9
#define KNOWN_STRINGS (1 << KNOWN_STRINGS_BITS)

/* The shortest batch whose strings are remembered. Shorter ones have few to repeat. */
#define MIN_ROWS_TO_REMEMBER 512

/* Make room for remembered strings. */
static int open_strings(struct column *column) {
  if (column->strings != NULL || column->view->length < MIN_ROWS_TO_REMEMBER) return 0;
  column->strings = calloc(KNOWN_STRINGS, sizeof *column->strings);
  return column->strings == NULL ? out_of_memory() : 0;
}

int column_open(struct column *column, const struct ArrowArrayView *view) {
  column->view = view;
  column->first = view->offset;
  column->validity = view->null_count == 0 ? NULL : view->buffer_views[0].data.as_uint8;
  column->data = view->buffer_views[1].data.data;
  column->offsets = NULL;
  const struct ArrowArrayView *inside = view; /* the host makes the entries of a map start at 0 */
  switch (column->kind) {
    case SQL_UUID:
      if (!column->type->as_text) return 0;
      __attribute__((fallthrough));
    case SQL_VARCHAR:
    case SQL_JSON:
    case SQL_BLOB:
    case SQL_BIT:
    case SQL_BIGNUM:
      column->offsets = view->buffer_views[1].data.as_int32;
      column->data = view->buffer_views[2].data.data;
      return column->kind == SQL_VARCHAR ? open_strings(column) : 0;
    case SQL_ENUM:
      return open_enum(column);
    case SQL_LIST:
      column->offsets = view->buffer_views[1].data.as_int32;
      break;
    case SQL_MAP:
      column->offsets = view->buffer_views[1].data.as_int32;
      inside = view->children[0]; /* the entries, a struct */
      break;
    case SQL_UNION:
      column->data = view->buffer_views[0].data.data; /* the members' numbers */
      column->validity = NULL;                        /* a union has no NULL of its own */
      break;
    default:
      break;
  }
  for (int64_t i = 0; i < column->type->n_children; i++) {
    if (column_open(&column->children[i], inside->children[i]) < 0) return -1;
  }
  return 0;
}

/* Return the bytes of a value between two offsets, and their number in `size`. */
static const uint8_t *bytes_of(const struct column *column, int64_t i, int64_t *size) {
  int32_t start = column->offsets[i];
  *size = column->offsets[i + 1] - start;
  assert(start >= 0 && *size >= 0);
  return (const uint8_t *)column->data + start;
}

bool column_is_null_inside(const struct column *column, int64_t row) {
  int64_t size;
  const struct column *values = &column->children[1];
  const uint8_t *value = bytes_of(values, values->first + row, &size);
  return size > 0 && value[0] == 0;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* Return the first 8 bytes of a text, with zeros after its end. Reads beyond the end only inside the same page. */
static uint64_t first_bytes(const char *text, int64_t size) {
  uint64_t bytes = 0;
  if (size <= 0) return 0;
  if (size < 8 && ((uintptr_t)text & 0xFFFF) > 0x10000 - 8) {
    memcpy(&bytes, text, (size_t)size);
    return bytes;
  }
  memcpy(&bytes, text, 8);
  return size < 8 ? bytes & ((UINT64_C(1) << (8 * size)) - 1) : bytes;
}

static bool is_ascii(const char *text, int64_t size) {
  uint64_t any = 0;
  for (; size > 0; text += 8, size -= 8) any |= first_bytes(text, size);
  return (any & UINT64_C(0x8080808080808080)) == 0;
}

/* The longest text that is tried as ASCII first. CPython's decoder needs several calls to find out that a text is short
 * and ASCII, as most are. */
#define SHORT_TEXT 64

static PyObject *new_string(const char *text, int64_t size) {
  if (size < 2 || size > SHORT_TEXT || !is_ascii(text, size)) return PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, NULL);
  PyObject *string = PyUnicode_New((Py_ssize_t)size, 127);
  if (string != NULL) memcpy(PyUnicode_1BYTE_DATA(string), text, (size_t)size);
  return string;
}

static PyObject *get_string(const struct column *column, int64_t i) {
  int64_t size;
  const char *text = (const char *)bytes_of(column, i, &size);
  if (column->strings == NULL || size > 8 || size == 0) return new_string(text, size);
  uint64_t bytes = first_bytes(text, size);
  uint64_t hash = bytes * UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio: Knuth's multiplicative hash */
  struct known_string *known = &column->strings[hash >> (64 - KNOWN_STRINGS_BITS)];
  if (known->bytes == bytes && known->length == size) return Py_NewRef(known->string);
  PyObject *string = new_string(text, size);
  if (string == NULL) return NULL;
  Py_XSETREF(known->string, Py_NewRef(string));
  known->bytes = bytes;
  known->length = (int32_t)size;
  return string;
}

static PyObject *get_json(const struct column *column, int64_t i) {
  PyObject *text = get_string(column, i);
  PyObject *value = text == NULL ? NULL : PyObject_CallOneArg(json_loads, text);
  Py_XDECREF(text);
  return value;
}

/* ---- times with a time zone -------------------------------------------------------------------------------------- */

/* DuckDB's dtime_tz_t (src/include/duckdb/common/types/datetime.hpp). The upper 40 bits are the microseconds of the
 * day. The lower 24 are the greatest offset from UTC minus this one, in seconds. */
static PyObject *get_time_with_zone(struct column *column, uint64_t bits) {
  int32_t offset = MAX_UTC_OFFSET - (int32_t)(bits & 0xFFFFFF);
  if (column->time_zone == NULL || column->time_zone_offset != offset) {
    PyObject *time_zone = decode_time_zone(offset);
    if (time_zone == NULL) return NULL;
    Py_XSETREF(column->time_zone, time_zone);
    column->time_zone_offset = offset;
  }
  return decode_time((int64_t)(bits >> 24), NANOARROW_TIME_UNIT_MICRO, column->time_zone);
}

/* ---- nested values ----------------------------------------------------------------------------------------------- */

static PyObject *get_list(struct column *values, int64_t start, int64_t stop) {
  PyObject *list = PyList_New(stop - start);
  for (int64_t i = start; list != NULL && i < stop; i++) {
    PyObject *value = column_get_or_none(values, i);
    if (value == NULL) {
      Py_CLEAR(list);
      break;
    }
    PyList_SET_ITEM(list, i - start, value);
  }
  return list;
}

/* Make a tuple, as DuckDB's own functions do. */
static PyObject *get_array(struct column *values, int64_t start, int64_t size) {
  PyObject *list = get_list(values, start, start + size);
  if (list == NULL) return NULL;
  PyObject *tuple = PyList_AsTuple(list);
  Py_DECREF(list);
  return tuple;
}

static PyObject *get_struct(struct column *column, int64_t i) {
  PyObject *fields = PyDict_New();
  for (int64_t k = 0; fields != NULL && k < column->type->n_children; k++) {
    PyObject *value = column_get_or_none(&column->children[k], i);
    if (value == NULL || PyDict_SetItem(fields, column->type->children[k].name, value) < 0) Py_CLEAR(fields);
    Py_XDECREF(value);
  }
  return fields;
}

/* Make a dict. If a key has no hash, make {'key': [...], 'value': [...]} as DuckDB's own functions do. */
static PyObject *get_map(struct column *column, int64_t start, int64_t stop) {
  PyObject *map = PyDict_New();
  for (int64_t i = start; map != NULL && i < stop; i++) {
    PyObject *key = column_get_or_none(&column->children[0], i);
    PyObject *value = key == NULL ? NULL : column_get_or_none(&column->children[1], i);
    if (value == NULL || PyDict_SetItem(map, key, value) < 0) Py_CLEAR(map);
    Py_XDECREF(key);
    Py_XDECREF(value);
  }
  if (map != NULL || !PyErr_ExceptionMatches(PyExc_TypeError)) return map;
  PyErr_Clear();
  PyObject *keys = get_list(&column->children[0], start, stop);
  PyObject *values = keys == NULL ? NULL : get_list(&column->children[1], start, stop);
  if (values != NULL) map = Py_BuildValue("{sOsO}", "key", keys, "value", values);
  Py_XDECREF(keys);
  Py_XDECREF(values);
  return map;
}

static PyObject *get_union(struct column *column, int64_t i) {
  int8_t member = ((const int8_t *)column->data)[i];
  const int8_t *numbers = column->view->union_type_id_map; /* NULL: each member's number is its position */
  int64_t child = numbers == NULL || member < 0 ? member : numbers[member];
  if (child < 0 || child >= column->type->n_children) {
    PyErr_Format(PyExc_ValueError, "a UNION without a member %d", (int)member);
    return NULL;
  }
  return column_get_or_none(&column->children[child], i);
}

static PyObject *get_enum(struct column *column, int64_t row) {
  int64_t code = ArrowArrayViewGetIntUnsafe(column->view, row);
  if (code < 0 || code >= column->n_known) {
    PyErr_SetString(PyExc_ValueError, "an ENUM without that value");
    return NULL;
  }
  if (column->known[code] == NULL) column->known[code] = column_get(&column->children[0], code);
  return Py_XNewRef(column->known[code]);
}

static PyObject *get_variant(const struct column *column, int64_t row) {
  const struct column *metadata = &column->children[0], *values = &column->children[1];
  int64_t metadata_size, size;
  const uint8_t *names = bytes_of(metadata, metadata->first + row, &metadata_size);
  const uint8_t *value = bytes_of(values, values->first + row, &size);
  return decode_variant(names, metadata_size, value, size);
}

PyObject *column_get(struct column *column, int64_t row) {
  assert(row >= 0 && row < column->view->length);
  int64_t i = column->first + row;
  switch (column->kind) {
    case SQL_BIGINT:
      return PyLong_FromLongLong(((const int64_t *)column->data)[i]);
    case SQL_DOUBLE:
      return PyFloat_FromDouble(((const double *)column->data)[i]);
    case SQL_VARCHAR:
      return get_string(column, i);
    case SQL_BOOLEAN:
      return PyBool_FromLong(column->type->as_byte ? ((const int8_t *)column->data)[i] != 0
                                                   : ArrowBitGet(column->data, i));
    case SQL_INTEGER:
      return PyLong_FromLong(((const int32_t *)column->data)[i]);
    case SQL_UBIGINT:
      return PyLong_FromUnsignedLongLong(((const uint64_t *)column->data)[i]);
    case SQL_FLOAT:
      return PyFloat_FromDouble(((const float *)column->data)[i]);
    case SQL_BLOB: {
      int64_t size;
      const uint8_t *bytes = bytes_of(column, i, &size);
      return PyBytes_FromStringAndSize((const char *)bytes, size);
    }
    case SQL_DATE:
      return decode_date(((const int32_t *)column->data)[i]);
    case SQL_TIME:
      return decode_time(((const int64_t *)column->data)[i], column->type->unit, Py_None);
    case SQL_TIMETZ:
      return get_time_with_zone(column, ((const uint64_t *)column->data)[i]);
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      return decode_timestamp(((const int64_t *)column->data)[i], column->type->unit, column->kind == SQL_TIMESTAMPTZ);
    case SQL_INTERVAL:
      return decode_interval((const char *)column->data + i * 16);
    case SQL_DECIMAL: {
      __int128 value;
      memcpy(&value, (const char *)column->data + i * 16, 16);
      return decode_decimal(value, column->type->scale);
    }
    case SQL_HUGEINT:
    case SQL_UHUGEINT:
      return decode_hugeint((const char *)column->data + i * 16, column->kind == SQL_HUGEINT);
    case SQL_BIGNUM: {
      int64_t size;
      const uint8_t *bytes = bytes_of(column, i, &size);
      return decode_bignum(bytes, size);
    }
    case SQL_BIT: {
      int64_t size;
      const uint8_t *bytes = bytes_of(column, i, &size);
      return decode_bit(bytes, size);
    }
    case SQL_UUID: {
      if (!column->type->as_text) return decode_uuid((const uint8_t *)column->data + i * 16);
      int64_t size;
      const uint8_t *text = bytes_of(column, i, &size);
      return decode_uuid_text(text, size);
    }
    case SQL_JSON:
      return get_json(column, i);
    case SQL_LIST:
      return get_list(&column->children[0], column->offsets[i], column->offsets[i + 1]);
    case SQL_ARRAY:
      return get_array(&column->children[0], i * column->type->array_size, column->type->array_size);
    case SQL_STRUCT:
      return get_struct(column, i);
    case SQL_MAP:
      return get_map(column, column->offsets[i], column->offsets[i + 1]);
    case SQL_UNION:
      return get_union(column, i);
    case SQL_ENUM:
      return get_enum(column, row);
    case SQL_VARIANT:
      return get_variant(column, row);
    default: /* the narrow integers: value_type_read refuses all other types */
      return PyLong_FromLongLong(ArrowArrayViewGetIntUnsafe(column->view, row));
  }
}
