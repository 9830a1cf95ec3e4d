#include "codec/encode_scalars.h"

#include <math.h>
#include <string.h>

#include "codec/infer.h"
#ifdef UDF_NUMPY
#include "numpy/scalars.h"
#endif

int append_bool(struct builder *builder, PyObject *value) {
  if (!PyBool_Check(value)) return wrong_type(builder, value);
  ArrowBitmapAppendUnsafe(&builder->bits, value == Py_True, 1);
  return 0;
}

static int out_of_range(struct builder *builder) {
  static const char *const ranges[] = {
      [SQL_TINYINT] = "-128 to 127",    [SQL_SMALLINT] = "-32768 to 32767", [SQL_INTEGER] = "-2147483648 to 2147483647",
      [SQL_UTINYINT] = "0 to 255",      [SQL_USMALLINT] = "0 to 65535",     [SQL_UINTEGER] = "0 to 4294967295",
      [SQL_BIGINT] = "-2^63 to 2^63-1", [SQL_UBIGINT] = "0 to 2^64-1",      [SQL_HUGEINT] = "-2^127 to 2^127-1",
      [SQL_UHUGEINT] = "0 to 2^128-1"};
  enum sql_kind kind = builder->type.narrow != SQL_NULL ? builder->type.narrow : builder->type.kind;
  PyErr_Format(PyExc_OverflowError, "the function returned an integer outside the range of %s (%s); %s",
               kind_facts(kind)->name, ranges[kind],
               builder->declared ? "declare a wider type, or return another value"
                                 : "declare the result type BIGNUM, or return a float or str");
  return -1;
}

/* Write 128 bits, the low 64 first. */
int append_hugeint(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
  if (builder->type.kind == SQL_UHUGEINT) flags |= Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
  Py_ssize_t needed = PyLong_AsNativeBytes(value, builder->data.data + builder->length * 16, 16, flags);
  if (needed < 0) PyErr_Clear(); /* a negative value */
  return needed < 0 || needed > 16 ? out_of_range(builder) : 0;
}

/* Widen an inferred column at the first integer beyond 64 bits. */
static int widen_to_hugeint(struct builder *builder) {
  builder->data.size_bytes = builder->length * 8;
  int64_t more = builder->capacity * 16 - builder->data.size_bytes;
  if (ArrowBufferReserve(&builder->data, more) != NANOARROW_OK) return out_of_memory();
  uint8_t *data = builder->data.data;
  for (int64_t i = builder->length - 1; i >= 0; i--) { /* from the end: each takes the room of two */
    __int128 wide = ((int64_t *)data)[i];
    memcpy(data + i * 16, &wide, 16);
  }
  builder->type.kind = SQL_HUGEINT;
  return 0;
}

bool integer_fits(enum sql_kind narrow, int64_t integer) {
  switch (narrow) {
    case SQL_TINYINT:
      return integer == (int8_t)integer;
    case SQL_SMALLINT:
      return integer == (int16_t)integer;
    case SQL_INTEGER:
      return integer == (int32_t)integer;
    case SQL_UTINYINT:
      return integer == (uint8_t)integer;
    case SQL_USMALLINT:
      return integer == (uint16_t)integer;
    case SQL_UINTEGER:
      return integer == (uint32_t)integer;
    default:
      return true;
  }
}

int append_integer(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  int overflow = 0;
  int64_t integer = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (!overflow) {
    if (!integer_fits(builder->type.narrow, integer)) return out_of_range(builder);
    ((int64_t *)builder->data.data)[builder->length] = integer;
    return 0;
  }
  if (builder->declared) return out_of_range(builder);
  return widen_to_hugeint(builder) < 0 ? -1 : append_hugeint(builder, value);
}

int append_unsigned(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  uint64_t integer = PyLong_AsUnsignedLongLong(value);
  if (integer == UINT64_MAX && PyErr_Occurred()) return out_of_range(builder);
  ((uint64_t *)builder->data.data)[builder->length] = integer;
  return 0;
}

bool double_fits(enum sql_kind narrow, double number) {
  return narrow != SQL_FLOAT || !isinf((float)number) || isinf(number);
}

static int too_large(struct builder *builder, PyObject *value) {
  PyErr_Format(PyExc_OverflowError, "the function returned %.60R, which is too large for %s; %s", value,
               declared_name(&builder->type),
               builder->type.narrow == SQL_FLOAT ? "declare DOUBLE" : "declare a DECIMAL, or return a str");
  return -1;
}

/* Return whether a Decimal is neither infinite nor NaN. */
static bool is_finite_decimal(PyObject *value) {
  PyObject *finite = PyObject_CallMethod(value, "is_finite", NULL);
  bool result = finite == Py_True;
  if (finite == NULL) PyErr_Clear();
  Py_XDECREF(finite);
  return result;
}

int append_double(struct builder *builder, PyObject *value) {
  double number;
  if (PyFloat_Check(value)) {
    number = PyFloat_AS_DOUBLE(value);
  } else if (PyLong_Check(value)) {
    number = PyLong_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) {
      PyErr_Clear();
      return too_large(builder, value);
    }
  } else if (is_a(value, decimal_class)) {
    number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return -1;
    if (isinf(number) && is_finite_decimal(value)) return too_large(builder, value);
  } else {
    return wrong_type(builder, value);
  }
  if (!double_fits(builder->type.narrow, number)) return too_large(builder, value);
  ((double *)builder->data.data)[builder->length] = number;
  return 0;
}

int append_bytes(struct builder *builder, const void *bytes, Py_ssize_t size) {
  if (builder->data.size_bytes + size > INT32_MAX) {
    PyErr_Format(PyExc_OverflowError, "the %s values returned for one batch exceed 2 GiB",
                 kind_facts(builder->type.kind)->name);
    return -1;
  }
  if (ArrowBufferAppend(&builder->data, bytes, size) != NANOARROW_OK) return out_of_memory();
  ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)builder->data.size_bytes;
  return 0;
}

/* Check that a str is a value of the ENUM that was declared. */
static int check_member(struct builder *builder, PyObject *value) {
  int found = PyDict_Contains(builder->type.members, value);
  if (found == 0) {
    PyErr_Format(PyExc_ValueError,
                 "the function returned %.60R, which is not among the %zd values of its result type ENUM", value,
                 PyDict_GET_SIZE(builder->type.members));
  }
  return found > 0 ? 0 : -1;
}

int append_string(struct builder *builder, PyObject *value) {
  if (!PyUnicode_Check(value)) return wrong_type(builder, value);
  if (builder->type.members != NULL && check_member(builder, value) < 0) return -1;
  Py_ssize_t size;
  const char *text = PyUnicode_AsUTF8AndSize(value, &size);
  return text == NULL ? -1 : append_bytes(builder, text, size);
}

/* Write the bytes of any object with a buffer, in the order of its elements: what bytes(value) has. */
int append_blob(struct builder *builder, PyObject *value) {
  if (!PyObject_CheckBuffer(value)) return wrong_type(builder, value);
  Py_buffer view;
  if (PyObject_GetBuffer(value, &view, PyBUF_FULL_RO) < 0) return -1;
  int status = -1;
  if (PyBuffer_IsContiguous(&view, 'C')) {
    status = append_bytes(builder, view.buf, view.len);
  } else {
    char *bytes = malloc((size_t)view.len + 1);
    if (bytes == NULL) {
      out_of_memory();
    } else if (PyBuffer_ToContiguous(bytes, &view, view.len, 'C') == 0) {
      status = append_bytes(builder, bytes, view.len);
    }
    free(bytes);
  }
  PyBuffer_Release(&view);
  return status;
}

static int bad_decimal(struct builder *builder, PyObject *text) {
  PyErr_Format(PyExc_OverflowError, "the function returned %.60U, which DECIMAL(%d,%d) can't hold", text,
               (int)builder->type.precision, (int)builder->type.scale);
  return -1;
}

/* Extend the decimals of an inferred column to `scale` digits after the point. Returns 0, or -1 without an exception if
 * 38 digits don't suffice. */
static int rescale(struct builder *builder, int64_t scale) {
  if (scale > 38) return -1;
  __int128 factor = 1, limit = 1;
  for (int32_t i = 0; i < 38; i++) limit *= 10;
  for (int64_t i = builder->type.scale; i < scale; i++) factor *= 10;
  for (int64_t i = 0; i < builder->length; i++) {
    __int128 number = load_hugeint(builder->data.data + i * 16);
    if (number >= limit / factor || number <= -(limit / factor)) return -1;
  }
  for (int64_t i = 0; i < builder->length; i++) {
    __int128 number = load_hugeint(builder->data.data + i * 16) * factor;
    memcpy(builder->data.data + i * 16, &number, 16);
  }
  builder->type.scale = (int32_t)scale;
  return 0;
}

/* Write digits up to the scale from the text of an int or a Decimal. Rounds half away from zero, as DuckDB does. */
int append_decimal(struct builder *builder, PyObject *value) {
  if (!is_a(value, decimal_class) && (!PyLong_Check(value) || PyBool_Check(value))) return wrong_type(builder, value);
  PyObject *text = PyObject_Str(value);
  if (text == NULL) return -1;
  Py_ssize_t size;
  const char *at = PyUnicode_AsUTF8AndSize(text, &size);
  if (at == NULL) {
    Py_DECREF(text);
    return -1;
  }
  bool negative = *at == '-';
  at += *at == '-' || *at == '+';

  /* The digits without their point, and the power of ten of the last one. */
  const char *digits = at;
  int64_t exponent = 0;
  const char *end = at + strcspn(at, "Ee");
  const char *point = memchr(at, '.', (size_t)(end - at));
  if (*end != 0) exponent = strtol(end + 1, NULL, 10);
  if (point != NULL) exponent -= end - point - 1;
  if (!builder->declared && -exponent > builder->type.scale && rescale(builder, -exponent) < 0) {
    PyErr_Format(PyExc_OverflowError,
                 "the function returned %.60U, and with the decimals of earlier rows more than 38 digits are needed; "
                 "declare a DECIMAL as result type, or return str or float",
                 text);
    Py_DECREF(text);
    return -1;
  }

  int64_t dropped = -(exponent + builder->type.scale); /* number of last digits beyond the scale */
  int64_t left = (end - digits) - (point != NULL);
  unsigned __int128 number = 0, limit = 1;
  for (int32_t i = 0; i < builder->type.precision; i++) limit *= 10;
  bool fits = true, round_up = false;
  for (; digits < end; digits++) {
    if (*digits == '.') continue;
    if (*digits < '0' || *digits > '9') { /* NaN, Infinity */
      fits = false;
      break;
    }
    if (left > dropped) {
      fits = number < limit / 10;
      number = number * 10 + (unsigned)(*digits - '0');
    } else if (left == dropped) {
      round_up = *digits >= '5';
    }
    if (!fits) break;
    left--;
  }
  number += (unsigned)round_up;
  for (; dropped < 0 && number != 0 && fits; dropped++) {
    fits = number < limit / 10;
    number *= 10;
  }
  int status = 0;
  if (!fits || number >= limit) {
    status = bad_decimal(builder, text);
  } else {
    __int128 signed_number = negative ? -(__int128)number : (__int128)number;
    memcpy(builder->data.data + builder->length * 16, &signed_number, 16);
  }
  Py_DECREF(text);
  return status;
}

int append_bignum(struct builder *builder, PyObject *value) {
  if (!PyLong_Check(value)) return wrong_type(builder, value);
  PyObject *magnitude = PyNumber_Absolute(value);
  if (magnitude == NULL) return -1;
  int negative = PyObject_RichCompareBool(magnitude, value, Py_NE);
  int flags = Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER;
  Py_ssize_t size = PyLong_AsNativeBytes(magnitude, NULL, 0, flags);
  uint8_t *bytes = size < 0 || negative < 0 ? NULL : malloc((size_t)size + 3);
  bool failed = bytes == NULL || PyLong_AsNativeBytes(magnitude, bytes + 3, size, flags) < 0;
  Py_DECREF(magnitude);
  if (failed) {
    free(bytes);
    return PyErr_Occurred() ? -1 : out_of_memory();
  }
  Py_ssize_t zeros = 0; /* leading ones don't count */
  while (zeros < size - 1 && bytes[3 + zeros] == 0) zeros++;
  memmove(bytes + 3, bytes + 3 + zeros, (size_t)(size - zeros));
  size -= zeros;
  int status = -1;
  if (size >= 1 << 23) {
    PyErr_SetString(PyExc_OverflowError,
                    "the function returned an integer of more than 2^23 bytes, which BIGNUM can't "
                    "hold");
  } else {
    bytes[0] = (uint8_t)(0x80 | size >> 16);
    bytes[1] = (uint8_t)(size >> 8);
    bytes[2] = (uint8_t)size;
    for (Py_ssize_t i = 0; negative && i < size + 3; i++) bytes[i] = (uint8_t)~bytes[i];
    status = append_bytes(builder, bytes, size + 3);
  }
  free(bytes);
  return status;
}

int append_bit(struct builder *builder, PyObject *value) {
  if (!PyUnicode_Check(value)) return wrong_type(builder, value);
  Py_ssize_t n;
  const char *digits = PyUnicode_AsUTF8AndSize(value, &n);
  if (digits == NULL) return -1;
  if (n == 0 || (Py_ssize_t)strspn(digits, "01") != n) {
    PyErr_Format(PyExc_ValueError, "the function returned %.60R; a BIT is a str of the digits 0 and 1, at least one",
                 value);
    return -1;
  }
  Py_ssize_t size = (n + 7) / 8, padding = size * 8 - n;
  uint8_t *bytes = calloc((size_t)size + 1, 1);
  if (bytes == NULL) return out_of_memory();
  bytes[0] = (uint8_t)padding;
  for (Py_ssize_t bit = 0; bit < size * 8; bit++) { /* the bits before the digits are set */
    bool set = bit < padding || digits[bit - padding] == '1';
    bytes[1 + bit / 8] |= (uint8_t)((int)set << (7 - bit % 8));
  }
  int status = append_bytes(builder, bytes, size + 1);
  free(bytes);
  return status;
}

/* Write a UUID, or a str in any form that the class UUID takes. */
int append_uuid(struct builder *builder, PyObject *value) {
  if (!is_a(value, uuid_class) && !PyUnicode_Check(value)) return wrong_type(builder, value);
  PyObject *uuid = PyUnicode_Check(value) ? PyObject_CallOneArg(uuid_class, value) : Py_NewRef(value);
  PyObject *integer = uuid == NULL ? NULL : PyObject_GetAttrString(uuid, "int");
  Py_XDECREF(uuid);
  if (integer == NULL) {
    if (!PyUnicode_Check(value) || !PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
    PyErr_Clear();
    PyErr_Format(PyExc_ValueError, "the function returned %.60R, which is no UUID", value);
    return -1;
  }
  int flags = Py_ASNATIVEBYTES_BIG_ENDIAN | Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
  Py_ssize_t needed = PyLong_AsNativeBytes(integer, builder->data.data + builder->length * 16, 16, flags);
  Py_DECREF(integer);
  if (needed > 16) PyErr_SetString(PyExc_OverflowError, "the function returned a UUID of more than 128 bits");
  return needed < 0 || needed > 16 ? -1 : 0;
}

/* Write JSON text. A str is JSON text already, as for DuckDB's own functions; anything else is dumped. */
int append_json(struct builder *builder, PyObject *value) {
  if (PyUnicode_Check(value)) {
    PyObject *checked = PyObject_CallOneArg(json_check, value);
    Py_XDECREF(checked);
    return checked == NULL ? -1 : append_string(builder, value);
  }
  PyObject *text = PyObject_CallOneArg(json_dumps, value);
#ifdef UDF_NUMPY
  if (text == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) text = numpy_json(value, json_dumps);
#endif
  if (text == NULL) return -1;
  int status = append_string(builder, text);
  Py_DECREF(text);
  return status;
}
