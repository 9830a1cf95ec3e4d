#include "codec.h"

#include <string.h>

/* ---- decoding -------------------------------------------------------------------------------------------------- */

int column_open(struct column *column, const struct ArrowArrayView *view) {
  column->type = view->storage_type;
  column->view = view;
  column->first = view->offset;
  column->validity = view->null_count == 0 ? NULL : view->buffer_views[0].data.as_uint8;
  column->data = view->buffer_views[1].data.data;
  column->offsets = NULL;
  switch (column->type) {
    case NANOARROW_TYPE_NA:
    case NANOARROW_TYPE_BOOL:
    case NANOARROW_TYPE_INT8:
    case NANOARROW_TYPE_UINT8:
    case NANOARROW_TYPE_INT16:
    case NANOARROW_TYPE_UINT16:
    case NANOARROW_TYPE_INT32:
    case NANOARROW_TYPE_UINT32:
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_UINT64:
    case NANOARROW_TYPE_FLOAT:
    case NANOARROW_TYPE_DOUBLE:
      return 0;
    case NANOARROW_TYPE_STRING:
      column->offsets = view->buffer_views[1].data.as_int32;
      column->data = view->buffer_views[2].data.data;
      return 0;
    default:
      PyErr_Format(PyExc_TypeError, "the guest cannot read Arrow type %s", ArrowTypeString(column->type));
      return -1;
  }
}

PyObject *column_get(const struct column *column, int64_t row) {
  int64_t i = column->first + row;
  switch (column->type) {
    case NANOARROW_TYPE_INT64:
      return PyLong_FromLongLong(((const int64_t *)column->data)[i]);
    case NANOARROW_TYPE_DOUBLE:
      return PyFloat_FromDouble(((const double *)column->data)[i]);
    case NANOARROW_TYPE_STRING: {
      int32_t start = column->offsets[i];
      return PyUnicode_DecodeUTF8((const char *)column->data + start, column->offsets[i + 1] - start, NULL);
    }
    case NANOARROW_TYPE_BOOL:
      return PyBool_FromLong(ArrowBitGet(column->data, i));
    case NANOARROW_TYPE_INT32:
      return PyLong_FromLong(((const int32_t *)column->data)[i]);
    case NANOARROW_TYPE_UINT64:
      return PyLong_FromUnsignedLongLong(((const uint64_t *)column->data)[i]);
    case NANOARROW_TYPE_FLOAT:
      return PyFloat_FromDouble(((const float *)column->data)[i]);
    default: /* the narrow integers: column_open let nothing else through */
      return PyLong_FromLongLong(ArrowArrayViewGetIntUnsafe(column->view, row));
  }
}

/* ---- encoding -------------------------------------------------------------------------------------------------- */

static int out_of_memory(void) {
  PyErr_NoMemory();
  return -1;
}

/* The SQL name a user knows the type by. */
static const char *sql_name(enum ArrowType type) {
  switch (type) {
    case NANOARROW_TYPE_BOOL:
      return "BOOLEAN";
    case NANOARROW_TYPE_INT64:
      return "BIGINT";
    case NANOARROW_TYPE_DOUBLE:
      return "DOUBLE";
    default:
      return "VARCHAR";
  }
}

void builder_init(struct builder *builder, enum ArrowType declared) {
  memset(builder, 0, sizeof *builder);
  builder->type = declared;
  builder->declared = declared != NANOARROW_TYPE_NA;
  ArrowBitmapInit(&builder->validity);
  ArrowBitmapInit(&builder->bits);
  ArrowBufferInit(&builder->data);
  ArrowBufferInit(&builder->offsets);
}

/* Room for the batch's fixed-width part, and a placeholder for each NULL appended so far. */
static int prepare_values(struct builder *builder) {
  switch (builder->type) {
    case NANOARROW_TYPE_BOOL:
      if (ArrowBitmapReserve(&builder->bits, builder->capacity) != NANOARROW_OK) return out_of_memory();
      ArrowBitmapAppendUnsafe(&builder->bits, 0, builder->length);
      return 0;
    case NANOARROW_TYPE_STRING:
      if (ArrowBufferReserve(&builder->offsets, (builder->capacity + 1) * 4) != NANOARROW_OK) return out_of_memory();
      memset(builder->offsets.data, 0, (size_t)(builder->length + 1) * 4);
      return 0;
    case NANOARROW_TYPE_INT64:
    case NANOARROW_TYPE_DOUBLE:
      if (ArrowBufferReserve(&builder->data, builder->capacity * 8) != NANOARROW_OK) return out_of_memory();
      memset(builder->data.data, 0, (size_t)builder->length * 8);
      return 0;
    default: /* no value seen yet */
      return 0;
  }
}

int builder_start(struct builder *builder, int64_t rows) {
  if (!builder->declared) builder->type = NANOARROW_TYPE_NA;
  builder->length = 0;
  builder->null_count = 0;
  builder->capacity = rows;
  ArrowBitmapResize(&builder->validity, 0, 0);
  ArrowBitmapResize(&builder->bits, 0, 0);
  builder->data.size_bytes = 0;
  builder->offsets.size_bytes = 0;
  return prepare_values(builder);
}

/* Marks the row just written; `value_bytes` of string data precede the next row. */
static inline void close_row(struct builder *builder, int valid) {
  if (builder->null_count > 0) ArrowBitmapAppendUnsafe(&builder->validity, (uint8_t)valid, 1);
  builder->length++;
  if (builder->type == NANOARROW_TYPE_STRING) {
    ((int32_t *)builder->offsets.data)[builder->length] = (int32_t)builder->data.size_bytes;
  }
}

int builder_append_null(struct builder *builder) {
  if (builder->null_count == 0) {
    if (ArrowBitmapReserve(&builder->validity, builder->capacity) != NANOARROW_OK) return out_of_memory();
    ArrowBitmapAppendUnsafe(&builder->validity, 1, builder->length);
  }
  builder->null_count++;
  if (builder->type == NANOARROW_TYPE_BOOL) {
    ArrowBitmapAppendUnsafe(&builder->bits, 0, 1);
  } else if (builder->type == NANOARROW_TYPE_INT64 || builder->type == NANOARROW_TYPE_DOUBLE) {
    memset(builder->data.data + builder->length * 8, 0, 8);
  }
  close_row(builder, 0);
  return 0;
}

/* The narrowest type that holds the value, or NA when none does. */
static enum ArrowType type_of(PyObject *value) {
  if (PyBool_Check(value)) return NANOARROW_TYPE_BOOL;
  if (PyLong_Check(value)) return NANOARROW_TYPE_INT64;
  if (PyFloat_Check(value)) return NANOARROW_TYPE_DOUBLE;
  if (PyUnicode_Check(value)) return NANOARROW_TYPE_STRING;
  return NANOARROW_TYPE_NA;
}

static int wrong_type(struct builder *builder, PyObject *value) {
  if (builder->declared) {
    PyErr_Format(PyExc_TypeError, "the function returned %.100s where its result type %s was declared",
                 Py_TYPE(value)->tp_name, sql_name(builder->type));
  } else if (type_of(value) == NANOARROW_TYPE_NA) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s; a result must be bool, int, float, str or None",
                 Py_TYPE(value)->tp_name);
  } else {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s after earlier rows of the batch gave %s; return one type, or declare "
                 "the result type with an annotation or a typed form such as py_udf_varchar",
                 Py_TYPE(value)->tp_name, sql_name(builder->type));
  }
  return -1;
}

/* An undeclared result whose type so far does not hold `value`: settles on the first type, widens int to float. */
static int infer(struct builder *builder, PyObject *value) {
  enum ArrowType type = type_of(value);
  if (type == builder->type) return 0;
  if (builder->type == NANOARROW_TYPE_NA && type != NANOARROW_TYPE_NA) {
    builder->type = type;
    return prepare_values(builder);
  }
  if (builder->type == NANOARROW_TYPE_DOUBLE && type == NANOARROW_TYPE_INT64) return 0;
  if (builder->type == NANOARROW_TYPE_INT64 && type == NANOARROW_TYPE_DOUBLE) {
    const int64_t *integers = (const int64_t *)builder->data.data;
    double *doubles = (double *)builder->data.data;
    for (int64_t i = 0; i < builder->length; i++) doubles[i] = (double)integers[i];
    builder->type = type;
    return 0;
  }
  return wrong_type(builder, value);
}

static int append_bool(struct builder *builder, PyObject *value) {
  if (!PyBool_Check(value)) return wrong_type(builder, value);
  ArrowBitmapAppendUnsafe(&builder->bits, value == Py_True, 1);
  return 0;
}

static int append_integer(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  int overflow = 0;
  int64_t integer = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow) {
    PyErr_SetString(PyExc_OverflowError,
                    "the function returned an integer outside the range of BIGINT (-2^63 to 2^63-1); return a float "
                    "or str instead");
    return -1;
  }
  ((int64_t *)builder->data.data)[builder->length] = integer;
  return 0;
}

static int append_double(struct builder *builder, PyObject *value) {
  double number;
  if (PyFloat_Check(value)) {
    number = PyFloat_AS_DOUBLE(value);
  } else if (PyLong_Check(value)) {
    number = PyLong_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return -1;
  } else {
    return wrong_type(builder, value);
  }
  ((double *)builder->data.data)[builder->length] = number;
  return 0;
}

static int append_string(struct builder *builder, PyObject *value) {
  if (!PyUnicode_Check(value)) return wrong_type(builder, value);
  Py_ssize_t size;
  const char *bytes = PyUnicode_AsUTF8AndSize(value, &size);
  if (bytes == NULL) return -1;
  if (builder->data.size_bytes + size > INT32_MAX) {
    PyErr_SetString(PyExc_OverflowError, "the strings returned for one batch exceed 2 GiB");
    return -1;
  }
  if (ArrowBufferAppend(&builder->data, bytes, size) != NANOARROW_OK) return out_of_memory();
  return 0;
}

int builder_append(struct builder *builder, PyObject *value) {
  if (value == Py_None) return builder_append_null(builder);
  if (!builder->declared && infer(builder, value) < 0) return -1;
  int failed;
  switch (builder->type) {
    case NANOARROW_TYPE_INT64:
      failed = append_integer(builder, value);
      break;
    case NANOARROW_TYPE_DOUBLE:
      failed = append_double(builder, value);
      break;
    case NANOARROW_TYPE_STRING:
      failed = append_string(builder, value);
      break;
    default:
      failed = append_bool(builder, value);
      break;
  }
  if (failed) return -1;
  close_row(builder, 1);
  return 0;
}

void builder_finish(struct builder *builder, struct udf_result *result) {
  static const void *buffers[3];
  buffers[0] = builder->null_count > 0 ? builder->validity.buffer.data : NULL;
  int64_t n_buffers = 2;
  const char *format;
  switch (builder->type) {
    case NANOARROW_TYPE_BOOL:
      format = "b";
      buffers[1] = builder->bits.buffer.data;
      break;
    case NANOARROW_TYPE_INT64:
      format = "l";
      buffers[1] = builder->data.data;
      break;
    case NANOARROW_TYPE_DOUBLE:
      format = "g";
      buffers[1] = builder->data.data;
      break;
    case NANOARROW_TYPE_STRING:
      format = "u";
      n_buffers = 3;
      buffers[1] = builder->offsets.data;
      buffers[2] = builder->data.data;
      break;
    default:
      format = "n";
      n_buffers = 0;
      break;
  }
  result->schema = (struct ArrowSchema){.format = format, .name = "", .flags = ARROW_FLAG_NULLABLE};
  result->array = (struct ArrowArray){
      .length = builder->length,
      .null_count = builder->null_count,
      .n_buffers = n_buffers,
      .buffers = buffers,
  };
}
