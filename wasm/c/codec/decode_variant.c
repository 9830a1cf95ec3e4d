#include "codec/decode_variant.h"

#include <string.h>

#include "codec/decode_scalars.h"

/* The format: https://github.com/apache/parquet-format/blob/master/VariantEncoding.md */

/* The state of reading a value: the names that objects refer to, and the depth. */
struct reader {
  const uint8_t *names; /* where the offsets of the dictionary count from */
  const uint8_t *name_offsets;
  uint32_t n_names;
  int name_offset_size;
  const uint8_t *end_of_metadata;
  int depth;
};

/* The greatest depth of a value: the stack is small. */
#define MAX_VARIANT_DEPTH 200

static PyObject *malformed(void) {
  PyErr_SetString(PyExc_ValueError, "a VARIANT that is not in Parquet's encoding");
  return NULL;
}

/* Read an unsigned integer of 1 to 4 bytes. */
static uint32_t read_unsigned(const uint8_t *at, int size) {
  uint32_t value = 0;
  memcpy(&value, at, (size_t)size);
  return value;
}

static __int128 read_signed(const uint8_t *at, int size) {
  __int128 value = (at[size - 1] & 0x80) != 0 ? -1 : 0;
  memcpy(&value, at, (size_t)size);
  return value;
}

static PyObject *read_value(struct reader *reader, const uint8_t *at, const uint8_t *end);

/* Primitive types by their number in the format, and the bytes of a value of each. */
enum {
  NULL_TYPE,
  TRUE_TYPE,
  FALSE_TYPE,
  INT8,
  INT16,
  INT32,
  INT64,
  DOUBLE,
  DECIMAL4,
  DECIMAL8,
  DECIMAL16,
  DATE,
  TIMESTAMPTZ,
  TIMESTAMP,
  FLOAT,
  BINARY,
  STRING,
  TIME,
  TIMESTAMPTZ_NS,
  TIMESTAMP_NS,
  UUID,
  N_PRIMITIVES
};
static const uint8_t primitive_sizes[N_PRIMITIVES] = {0, 0, 0, 1, 2, 4, 8, 8, 5, 9, 17, 4, 8, 8, 4, 4, 4, 8, 8, 8, 16};

static PyObject *read_primitive(int type, const uint8_t *at, const uint8_t *end) {
  if (type >= N_PRIMITIVES || end - at < primitive_sizes[type]) return malformed();
  int size = primitive_sizes[type];
  switch (type) {
    case NULL_TYPE:
      return Py_NewRef(Py_None);
    case TRUE_TYPE:
    case FALSE_TYPE:
      return PyBool_FromLong(type == TRUE_TYPE);
    case DOUBLE: {
      double number;
      memcpy(&number, at, 8);
      return PyFloat_FromDouble(number);
    }
    case FLOAT: {
      float number;
      memcpy(&number, at, 4);
      return PyFloat_FromDouble(number);
    }
    case DECIMAL4:
    case DECIMAL8:
    case DECIMAL16:
      return at[0] > 38 ? malformed() : decode_decimal(read_signed(at + 1, size - 1), at[0]);
    case DATE:
      return decode_date((int64_t)read_signed(at, 4));
    case TIME:
      return decode_time((int64_t)read_signed(at, 8), NANOARROW_TIME_UNIT_MICRO, Py_None);
    case TIMESTAMPTZ:
    case TIMESTAMP:
      return decode_timestamp((int64_t)read_signed(at, 8), NANOARROW_TIME_UNIT_MICRO, type == TIMESTAMPTZ);
    case TIMESTAMPTZ_NS:
    case TIMESTAMP_NS:
      return decode_timestamp((int64_t)read_signed(at, 8), NANOARROW_TIME_UNIT_NANO, type == TIMESTAMPTZ_NS);
    case UUID:
      return decode_uuid(at);
    case BINARY:
    case STRING: {
      uint32_t length = read_unsigned(at, 4);
      at += 4;
      if (length > (uint32_t)(end - at)) return malformed();
      return type == STRING ? PyUnicode_DecodeUTF8((const char *)at, length, NULL)
                            : PyBytes_FromStringAndSize((const char *)at, length);
    }
    default: /* the integers */
      return PyLong_FromLongLong((int64_t)read_signed(at, size));
  }
}

/* Find the values behind the `n + 1` offsets of a container. Returns 0, or -1 if the offsets reach beyond the end. */
static int read_offsets(const uint8_t *offsets, uint32_t n, int size, const uint8_t *end, const uint8_t **values) {
  if (((uint64_t)n + 1) * (uint64_t)size > (uint64_t)(end - offsets)) return -1;
  *values = offsets + (n + 1) * (uint32_t)size;
  return 0;
}

static PyObject *read_item(struct reader *reader, const uint8_t *offsets, uint32_t i, int size, const uint8_t *values,
                           const uint8_t *end) {
  uint32_t offset = read_unsigned(offsets + i * (uint32_t)size, size);
  return offset >= (uint32_t)(end - values) ? malformed() : read_value(reader, values + offset, end);
}

static PyObject *read_name(struct reader *reader, uint32_t id) {
  if (id >= reader->n_names) return malformed();
  const uint8_t *at = reader->name_offsets + id * (uint32_t)reader->name_offset_size;
  uint32_t start = read_unsigned(at, reader->name_offset_size);
  uint32_t stop = read_unsigned(at + reader->name_offset_size, reader->name_offset_size);
  if (start > stop || stop > (uint32_t)(reader->end_of_metadata - reader->names)) return malformed();
  return PyUnicode_DecodeUTF8((const char *)reader->names + start, stop - start, NULL);
}

static PyObject *read_object(struct reader *reader, int header, const uint8_t *at, const uint8_t *end) {
  int offset_size = (header & 3) + 1, id_size = (header >> 2 & 3) + 1, count_size = (header >> 4 & 1) ? 4 : 1;
  if (end - at < count_size) return malformed();
  uint32_t n = read_unsigned(at, count_size);
  const uint8_t *ids = at + count_size, *values;
  if ((uint64_t)n * (uint64_t)id_size > (uint64_t)(end - ids)) return malformed();
  const uint8_t *offsets = ids + n * (uint32_t)id_size;
  if (read_offsets(offsets, n, offset_size, end, &values) < 0) return malformed();
  PyObject *fields = PyDict_New();
  for (uint32_t i = 0; fields != NULL && i < n; i++) {
    PyObject *name = read_name(reader, read_unsigned(ids + i * (uint32_t)id_size, id_size));
    PyObject *value = name == NULL ? NULL : read_item(reader, offsets, i, offset_size, values, end);
    if (value == NULL || PyDict_SetItem(fields, name, value) < 0) Py_CLEAR(fields);
    Py_XDECREF(name);
    Py_XDECREF(value);
  }
  return fields;
}

static PyObject *read_array(struct reader *reader, int header, const uint8_t *at, const uint8_t *end) {
  int offset_size = (header & 3) + 1, count_size = (header >> 2 & 1) ? 4 : 1;
  if (end - at < count_size) return malformed();
  uint32_t n = read_unsigned(at, count_size);
  const uint8_t *offsets = at + count_size, *values;
  if (read_offsets(offsets, n, offset_size, end, &values) < 0) return malformed();
  PyObject *list = PyList_New(n);
  for (uint32_t i = 0; list != NULL && i < n; i++) {
    PyObject *value = read_item(reader, offsets, i, offset_size, values, end);
    if (value == NULL) {
      Py_CLEAR(list);
      break;
    }
    PyList_SET_ITEM(list, i, value);
  }
  return list;
}

static PyObject *read_value(struct reader *reader, const uint8_t *at, const uint8_t *end) {
  if (at >= end) return malformed();
  int header = *at >> 2, kind = *at & 3;
  at++;
  if (kind == 0) return read_primitive(header, at, end);
  if (kind == 1) {
    if (header > end - at) return malformed();
    return PyUnicode_DecodeUTF8((const char *)at, header, NULL);
  }
  if (reader->depth >= MAX_VARIANT_DEPTH) {
    PyErr_SetString(PyExc_RecursionError, "a VARIANT that nests too deep");
    return NULL;
  }
  reader->depth++;
  PyObject *value = kind == 2 ? read_object(reader, header, at, end) : read_array(reader, header, at, end);
  reader->depth--;
  return value;
}

PyObject *decode_variant(const uint8_t *metadata, int64_t metadata_size, const uint8_t *value, int64_t value_size) {
  const uint8_t *end = metadata + metadata_size;
  if (metadata_size < 1 || (metadata[0] & 0x0F) != 1) return malformed();
  int size = (metadata[0] >> 6) + 1;
  if (metadata_size < 1 + size) return malformed();
  struct reader reader = {
      .name_offset_size = size, .end_of_metadata = end, .n_names = read_unsigned(metadata + 1, size)};
  reader.name_offsets = metadata + 1 + size;
  if (read_offsets(reader.name_offsets, reader.n_names, size, end, &reader.names) < 0) return malformed();
  return read_value(&reader, value, value + value_size);
}
