#include "codec/infer.h"

#include <datetime.h>
#include <string.h>

int infer_prepare(void) {
  PyDateTime_IMPORT;
  return PyDateTimeAPI == NULL ? -1 : 0;
}

bool is_a(PyObject *value, PyObject *class) { return PyObject_TypeCheck(value, (PyTypeObject *)class); }

bool is_aware(PyObject *value) { return ((PyDateTime_DateTime *)value)->hastzinfo; }

bool is_aware_time(PyObject *value) { return ((PyDateTime_Time *)value)->hastzinfo; }

/* Return whether the class of a value has an attribute. The instance's own attributes don't count. */
static bool class_has(PyObject *value, const char *name) {
  int found = PyObject_HasAttrStringWithError((PyObject *)Py_TYPE(value), name);
  if (found < 0) PyErr_Clear();
  return found > 0;
}

bool is_named_tuple(PyObject *value) {
  return PyTuple_Check(value) && !PyTuple_CheckExact(value) && class_has(value, "_fields");
}

/* Return the kind of a dict: STRUCT if its first key is a name, else MAP. */
static enum sql_kind kind_of_dict(PyObject *value) {
  PyObject *key, *ignored;
  Py_ssize_t position = 0;
  return !PyDict_Next(value, &position, &key, &ignored) || PyUnicode_Check(key) ? SQL_STRUCT : SQL_MAP;
}

enum sql_kind kind_of_value(PyObject *value) {
  if (PyBool_Check(value)) return SQL_BOOLEAN;
  if (PyLong_Check(value)) return SQL_BIGINT;
  if (PyFloat_Check(value)) return SQL_DOUBLE;
  if (PyUnicode_Check(value)) return SQL_VARCHAR;
  if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) return SQL_BLOB;
  if (PyDateTime_Check(value)) return is_aware(value) ? SQL_TIMESTAMPTZ : SQL_TIMESTAMP;
  if (PyDate_Check(value)) return SQL_DATE;
  if (PyTime_Check(value)) return is_aware_time(value) ? SQL_TIMETZ : SQL_TIME;
  if (PyDict_Check(value)) return kind_of_dict(value);
  if (is_named_tuple(value)) return SQL_STRUCT;
  if (PyList_Check(value) || PyTuple_Check(value)) return SQL_LIST;
  if (is_a(value, decimal_class)) return SQL_DECIMAL;
  if (PyDelta_Check(value)) return SQL_INTERVAL;
  if (is_a(value, uuid_class)) return SQL_UUID;
  if (!PyType_Check(value) && class_has(value, "__dataclass_fields__")) return SQL_STRUCT;
  return SQL_NULL;
}

/* The exception of the last call of `wrong_type`, only to compare with, and its builder. */
static PyObject *mismatch;
static const struct builder *mismatched;

bool was_mismatch(const struct builder *builder) {
  if (mismatched != builder) return false;
  PyObject *pending = PyErr_GetRaisedException();
  bool same = pending == mismatch;
  mismatched = NULL;
  PyErr_SetRaisedException(pending);
  return same;
}

int wrong_type(struct builder *builder, PyObject *value) {
  const char *type = Py_TYPE(value)->tp_name;
  if (builder->declared) {
    PyErr_Format(PyExc_TypeError, "the function returned %.100s where its result type %s was declared", type,
                 declared_name(&builder->type));
  } else {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s; a result must be bool, int, float, Decimal, str, bytes, date, time, "
                 "datetime, timedelta, UUID, list, tuple, dict, a dataclass instance or None",
                 type);
  }
  mismatch = PyErr_GetRaisedException();
  mismatched = builder;
  PyErr_SetRaisedException(mismatch);
  return -1;
}

/* Return the kind of a column that holds values of both kinds, SQL_NULL if there is none. */
static enum sql_kind widened(enum sql_kind kind, enum sql_kind value) {
  if (kind == value || kind == SQL_NULL) return value;
  if ((kind == SQL_DOUBLE || kind == SQL_HUGEINT) && value == SQL_BIGINT) return kind;
  if ((kind == SQL_BIGINT || kind == SQL_HUGEINT) && value == SQL_DOUBLE) return SQL_DOUBLE;
  return SQL_NULL;
}

__int128 load_hugeint(const uint8_t *at) {
  __int128 value;
  memcpy(&value, at, 16);
  return value;
}

/* Return whether a float is the integer that it was made of. */
static bool is_exact(double number, __int128 integer) {
  const double limit = 0x1p127; /* as an integer one more than 128 bits hold */
  return number < limit && number >= -limit && (__int128)number == integer;
}

/* Return whether floats can be the integers of a column. */
static bool are_exact(const struct builder *builder) {
  const uint8_t *data = builder->data.data;
  for (int64_t i = 0; i < builder->length; i++) {
    __int128 integer = builder->type.kind == SQL_BIGINT ? ((const int64_t *)data)[i] : load_hugeint(data + i * 16);
    if (!is_exact((double)integer, integer)) return false;
  }
  return true;
}

/* Return whether an int is a float without loss: 1, 0, or -1 with an exception. */
static int is_exact_as_float(PyObject *integer) {
  int overflow = 0;
  int64_t number = PyLong_AsLongLongAndOverflow(integer, &overflow);
  if (!overflow) return is_exact((double)number, number);
  double wide = PyLong_AsDouble(integer);
  if (wide == -1.0 && PyErr_Occurred()) {
    PyErr_Clear(); /* beyond any float */
    return 0;
  }
  PyObject *back = PyLong_FromDouble(wide);
  int same = back == NULL ? -1 : PyObject_RichCompareBool(back, integer, Py_EQ);
  Py_XDECREF(back);
  return same;
}

static void integers_to_doubles(struct builder *builder) {
  uint8_t *data = builder->data.data;
  for (int64_t i = 0; i < builder->length; i++) {
    double number =
        builder->type.kind == SQL_BIGINT ? (double)((int64_t *)data)[i] : (double)load_hugeint(data + i * 16);
    ((double *)data)[i] = number; /* no wider than what it replaces */
  }
}

int infer_kind(struct builder *builder, enum sql_kind kind) {
  builder->type.kind = kind;
  builder->type.unit = NANOARROW_TIME_UNIT_MICRO;
  builder->type.precision = 38; /* DECIMAL: the scale follows the values */
  builder->type.scale = 0;
  if (kind == SQL_LIST && builder_add_child(builder) == NULL) return -1;
  if (kind == SQL_MAP) {
    struct builder *entries = builder_add_child(builder);
    if (entries == NULL || builder_add_child(entries) == NULL || builder_add_child(entries) == NULL) return -1;
    entries->declared = true;
    entries->type.kind = SQL_STRUCT;
    entries->children[0]->no_union = true;
  }
  return builder_settle(builder);
}

int infer_keys(struct builder *map) {
  struct builder *key = map->children[0]->children[0];
  if (key->type.kind != SQL_NULL) return 0;
  key->type.kind = SQL_VARCHAR;
  return builder_settle(key);
}

int infer(struct builder *builder, PyObject *value) {
  if (builder->type.kind == SQL_UNION) return 0;
  enum sql_kind kind = kind_of_value(value);
  if (kind == SQL_NULL) return wrong_type(builder, value);
  if (builder->type.kind == SQL_MAP && PyDict_Check(value) && PyDict_GET_SIZE(value) == 0) return 0;
  enum sql_kind wide = widened(builder->type.kind, kind);
  if (wide == SQL_NULL) return builder_become_union(builder);
  if (wide == builder->type.kind) {
    if (wide != SQL_DOUBLE || kind == SQL_DOUBLE) return 0;
    int exact = is_exact_as_float(value);
    return exact < 0 ? -1 : exact > 0 ? 0 : builder_become_union(builder);
  }
  if (builder->type.kind == SQL_NULL) return infer_kind(builder, wide);
  if (!are_exact(builder)) return builder_become_union(builder);
  integers_to_doubles(builder);
  builder->type.kind = wide;
  return 0;
}
