#include "codec/encode.h"

#include <string.h>

#include "codec/encode_scalars.h"
#include "codec/encode_times.h"
#include "codec/infer.h"
#ifdef UDF_NUMPY
#include "numpy/scalars.h"
#endif

/* The maximum number of fields of an inferred STRUCT. Without it, rows of distinct keys would make a field each. */
#define MAX_INFERRED_FIELDS 10000

/* The longest name of a field. The host refuses longer ones where it reads results. */
#define MAX_NAME_BYTES 1000

/* Note where a list, or a map, ends. */
static int close_list(struct builder *builder) {
  int64_t stop = builder->children[0]->length;
  if (stop > INT32_MAX) {
    PyErr_SetString(PyExc_OverflowError, "the lists returned for one batch hold more than 2^31 values");
    return -1;
  }
  ((int32_t *)builder->offsets.data)[builder->length + 1] = (int32_t)stop;
  return 0;
}

static int append_list(struct builder *builder, PyObject *value) {
  if (!PyList_Check(value) && !PyTuple_Check(value)) return wrong_type(builder, value);
  if (builder->type.narrow == SQL_ARRAY && PySequence_Fast_GET_SIZE(value) != builder->type.array_size) {
    PyErr_Format(PyExc_ValueError, "the function returned a %.100s of %zd values where its result type ARRAY has %d",
                 Py_TYPE(value)->tp_name, PySequence_Fast_GET_SIZE(value), (int)builder->type.array_size);
    return -1;
  }
  struct builder *values = builder->children[0];
  /* Appending can run user code, which can change the list. */
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); i++) {
    PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(value, i));
    int status = builder_append(values, item);
    Py_DECREF(item);
    if (status < 0) return -1;
  }
  return close_list(builder);
}

/* Check that a key can be the name of a field. */
static int check_name(PyObject *name) {
  Py_ssize_t size;
  const char *text = PyUnicode_AsUTF8AndSize(name, &size);
  if (text == NULL) return -1;
  if (size > 0 && size <= MAX_NAME_BYTES && (Py_ssize_t)strlen(text) == size) return 0;
  PyErr_Format(
      PyExc_ValueError,
      "the function returned a dict with the key %.60R; the name of an inferred STRUCT's field has 1 to %d bytes, "
      "none of them NUL: declare a MAP",
      name, MAX_NAME_BYTES);
  return -1;
}

/* Add a field to an inferred STRUCT, with NULLs for the rows before. */
static struct builder *add_field(struct builder *builder, PyObject *name) {
  if (!PyUnicode_CheckExact(name)) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned a dict with a key of type %.100s; the keys of an inferred STRUCT are str, "
                 "declare a MAP for others",
                 Py_TYPE(name)->tp_name);
    return NULL;
  }
  if (builder->n_children >= MAX_INFERRED_FIELDS) {
    PyErr_Format(PyExc_OverflowError, "the dicts returned for one batch have more than %d keys; declare a MAP",
                 MAX_INFERRED_FIELDS);
    return NULL;
  }
  if (check_name(name) < 0) return NULL;
  struct builder *field = builder_add_child(builder);
  if (field == NULL) return NULL;
  field->type.name = Py_NewRef(name);
  return builder_fill_child(builder, field) < 0 ? NULL : field;
}

/* Add the field of a key, unless it is there. */
static int infer_field(struct builder *builder, PyObject *name) {
  if (!PyUnicode_CheckExact(name)) return add_field(builder, name) == NULL ? -1 : 0; /* which says what is wrong */
  PyObject *names = builder_names(builder);
  int found = names == NULL ? -1 : PyDict_Contains(names, name);
  if (found != 0) return found < 0 ? -1 : 0;
  if (add_field(builder, name) == NULL) return -1;
  PyObject *number = PyLong_FromLongLong(builder->n_children - 1);
  int status = number == NULL ? -1 : PyDict_SetItem(names, name, number);
  Py_XDECREF(number);
  return status;
}

/* Add the fields that no earlier dict of the batch had. A key of a subclass of str could have a hash of its own. */
static int infer_fields(struct builder *builder, PyObject *fields) {
  PyObject *key, *ignored;
  Py_ssize_t position = 0;
  for (int64_t i = 0; PyDict_Next(fields, &position, &key, &ignored); i++) {
    /* Most dicts have the keys of the one before, in the same order. */
    if (i < builder->n_children && builder->children[i]->type.name == key) continue;
    PyObject *name = PyUnicode_Check(key) ? PyUnicode_FromObject(key) : Py_NewRef(key);
    int status = name == NULL ? -1 : infer_field(builder, name);
    Py_XDECREF(name);
    if (status < 0) return -1;
  }
  return 0;
}

/* Check that a dict has no keys beyond the `found` fields. */
static int check_keys(struct builder *builder, PyObject *fields, int64_t found) {
  if (PyDict_GET_SIZE(fields) == found) return 0;
  PyObject *names = builder_names(builder), *name, *ignored;
  if (names == NULL) return -1;
  Py_ssize_t position = 0;
  while (PyDict_Next(fields, &position, &name, &ignored)) {
    int known = PyUnicode_Check(name) ? PyDict_Contains(names, name) : 0;
    if (known < 0) return -1;
    if (known) continue;
    PyErr_Format(PyExc_TypeError,
                 "the function returned a dict with the key %.100R, which its result type STRUCT "
                 "doesn't have",
                 name);
    return -1;
  }
  return 0;
}

/* Return the fields of a named tuple or a dataclass instance, by name. */
static PyObject *fields_of(PyObject *value) {
  if (PyTuple_Check(value)) return PyObject_CallMethod(value, "_asdict", NULL);
  PyObject *names = PyObject_GetAttrString((PyObject *)Py_TYPE(value), "__dataclass_fields__");
  PyObject *list = names == NULL ? NULL : PySequence_List(names);
  PyObject *fields = list == NULL ? NULL : PyDict_New();
  Py_XDECREF(names);
  for (Py_ssize_t i = 0; fields != NULL && i < PyList_GET_SIZE(list); i++) {
    PyObject *item = PyObject_GetAttr(value, PyList_GET_ITEM(list, i));
    if (item == NULL || PyDict_SetItem(fields, PyList_GET_ITEM(list, i), item) < 0) Py_CLEAR(fields);
    Py_XDECREF(item);
  }
  Py_XDECREF(list);
  return fields;
}

static int append_tuple(struct builder *builder, PyObject *value) {
  if (PyTuple_GET_SIZE(value) != builder->n_children) {
    PyErr_Format(PyExc_TypeError, "the function returned a tuple of %zd where its result type STRUCT has %d fields",
                 PyTuple_GET_SIZE(value), (int)builder->n_children);
    return -1;
  }
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (builder_append(builder->children[i], PyTuple_GET_ITEM(value, i)) < 0) return -1;
  }
  return 0;
}

/* Append a dict. A missing key is NULL. */
static int append_fields(struct builder *builder, PyObject *value) {
  if (!builder->declared && infer_fields(builder, value) < 0) return -1;
  int64_t found = 0;
  for (int64_t i = 0; i < builder->n_children; i++) {
    struct builder *field = builder->children[i];
    PyObject *item = PyDict_GetItemWithError(value, field->type.name);
    if (item == NULL && PyErr_Occurred()) return -1;
    found += item != NULL;
    item = Py_NewRef(item == NULL ? Py_None : item);
    int status = builder_append(field, item);
    Py_DECREF(item);
    if (status < 0) return -1;
  }
  return check_keys(builder, value, found);
}

/* Append a dict, a named tuple or a dataclass instance by names, any other tuple by position. */
static int append_struct(struct builder *builder, PyObject *value) {
  if (PyDict_Check(value)) return append_fields(builder, value);
  if (PyTuple_Check(value) && builder->declared && !is_named_tuple(value)) return append_tuple(builder, value);
  if (kind_of_value(value) != SQL_STRUCT) return wrong_type(builder, value);
  PyObject *fields = fields_of(value);
  if (fields == NULL) return -1;
  int status = PyDict_Check(fields) ? append_fields(builder, fields) : wrong_type(builder, fields);
  Py_DECREF(fields);
  return status;
}

/* Return the entries of a dict as a new list of pairs. A dict of two lists, 'key' and 'value', stands for a MAP whose
 * keys a dict can't have: arguments arrive so too. It is a plain dict if text and lists are what the MAP is of. */
static PyObject *entries_of(const struct builder *entries, PyObject *value) {
  PyObject *keys = PyDict_GET_SIZE(value) == 2 ? PyDict_GetItemString(value, "key") : NULL;
  PyObject *values = keys == NULL ? NULL : PyDict_GetItemString(value, "value");
  bool apart = entries->children[0]->declared && keys != NULL && PyList_Check(keys) && values != NULL &&
               PyList_Check(values) &&
               (entries->children[0]->type.kind != SQL_VARCHAR || entries->children[1]->type.kind != SQL_LIST);
  if (!apart) return PyDict_Items(value); /* a copy: user code that runs meanwhile can change the dict */
  if (PyList_GET_SIZE(keys) != PyList_GET_SIZE(values)) {
    PyErr_Format(PyExc_ValueError, "the function returned a MAP of %zd keys and %zd values", PyList_GET_SIZE(keys),
                 PyList_GET_SIZE(values));
    return NULL;
  }
  PyObject *items = PyList_New(0);
  for (Py_ssize_t i = 0; items != NULL && i < PyList_GET_SIZE(keys); i++) {
    PyObject *pair = PyTuple_Pack(2, PyList_GET_ITEM(keys, i), PyList_GET_ITEM(values, i));
    if (pair == NULL || PyList_Append(items, pair) < 0) Py_CLEAR(items);
    Py_XDECREF(pair);
  }
  return items;
}

static int append_map(struct builder *builder, PyObject *value) {
  if (!PyDict_Check(value)) return wrong_type(builder, value);
  struct builder *entries = builder->children[0];
  PyObject *items = entries_of(entries, value);
  if (items == NULL) return -1;
  int status = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items) && status == 0; i++) {
    PyObject *key = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 0);
    if (key == Py_None) {
      PyErr_SetString(PyExc_TypeError, "the function returned a dict with the key None, which a MAP can't have");
      status = -1;
    } else {
      status = builder_append(entries, PyList_GET_ITEM(items, i));
    }
  }
  Py_DECREF(items);
  return status < 0 ? -1 : close_list(builder);
}

/* Return whether a member of a UNION is the one for values of a kind. */
static bool is_member_for(const struct builder *member, enum sql_kind kind) {
  enum sql_kind its = member->type.kind;
  if (!member->declared) return its == kind || its == SQL_NULL || (its == SQL_HUGEINT && kind == SQL_BIGINT);
  bool is_integer =
      its == SQL_BIGINT || its == SQL_UBIGINT || its == SQL_HUGEINT || its == SQL_UHUGEINT || its == SQL_BIGNUM;
  return kind == its || (kind == SQL_BIGINT && is_integer) || (kind == SQL_STRUCT && its == SQL_MAP);
}

/* Append to the member for this kind of value. In a declared UNION without one, append to the first member that takes
 * the value. Returns the member's number, or -1 with an exception. */
static int64_t append_to_member(struct builder *builder, PyObject *value) {
  enum sql_kind kind = kind_of_value(value);
  if (kind == SQL_NULL) return wrong_type(builder, value);
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (!is_member_for(builder->children[i], kind)) continue;
    if (builder_append(builder->children[i], value) == 0) return i;
    if (!builder->declared || PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
    PyErr_Clear();
  }
  if (!builder->declared) {
    struct builder *member = builder_add_child(builder);
    if (member == NULL || builder_fill_child(builder, member) < 0 || builder_append(member, value) < 0) return -1;
    return builder->n_children - 1;
  }
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (builder_append(builder->children[i], value) == 0) return i;
    if (PyErr_ExceptionMatches(PyExc_MemoryError)) return -1;
    PyErr_Clear();
  }
  PyErr_Format(PyExc_TypeError, "the function returned %.100s, which no member of its result type UNION takes",
               Py_TYPE(value)->tp_name);
  return -1;
}

static int append_union(struct builder *builder, PyObject *value) {
  int64_t member = append_to_member(builder, value);
  if (member < 0) return -1;
  for (int64_t i = 0; i < builder->n_children; i++) {
    if (i != member && builder_append_null(builder->children[i]) < 0) return -1;
  }
  builder->data.data[builder->length] = (uint8_t)member;
  return 0;
}

static bool as_it_is; /* no code of Python's may run */

/* Write a value at the builder's next row, for which there is room. */
static int append_value(struct builder *builder, PyObject *value) {
  int status;
  if (as_it_is && (builder->type.kind == SQL_UUID || builder->type.kind == SQL_JSON)) return wrong_type(builder, value);
  switch (builder->type.kind) {
    case SQL_BIGINT:
      status = append_integer(builder, value);
      break;
    case SQL_DOUBLE:
      status = append_double(builder, value);
      break;
    case SQL_VARCHAR:
      status = append_string(builder, value);
      break;
    case SQL_BOOLEAN:
      status = append_bool(builder, value);
      break;
    case SQL_UBIGINT:
      status = append_unsigned(builder, value);
      break;
    case SQL_HUGEINT:
    case SQL_UHUGEINT:
      status = append_hugeint(builder, value);
      break;
    case SQL_BIGNUM:
      status = append_bignum(builder, value);
      break;
    case SQL_DECIMAL:
      status = append_decimal(builder, value);
      break;
    case SQL_BLOB:
      status = append_blob(builder, value);
      break;
    case SQL_BIT:
      status = append_bit(builder, value);
      break;
    case SQL_DATE:
      status = append_date(builder, value);
      break;
    case SQL_TIME:
      status = append_time(builder, value);
      break;
    case SQL_TIMETZ:
      status = append_time_with_zone(builder, value);
      break;
    case SQL_TIMESTAMP:
    case SQL_TIMESTAMPTZ:
      status = append_timestamp(builder, value);
      break;
    case SQL_INTERVAL:
      status = append_interval(builder, value);
      break;
    case SQL_UUID:
      status = append_uuid(builder, value);
      break;
    case SQL_JSON:
      status = append_json(builder, value);
      break;
    case SQL_LIST:
      status = append_list(builder, value);
      break;
    case SQL_STRUCT:
      status = append_struct(builder, value);
      break;
    case SQL_MAP:
      status = append_map(builder, value);
      break;
    case SQL_UNION:
      status = append_union(builder, value);
      break;
    default: /* a declared type without an encoder */
      status = wrong_type(builder, value);
      break;
  }
  return status;
}

/* Try a value of another Python type than the declared type's as the one it stands for, if nothing is lost: '42' for a
 * BIGINT, 2.0 too. The pending exception is that of `wrong_type`. */
static int append_coerced(struct builder *builder, PyObject *value) {
  PyObject *mismatch = PyErr_GetRaisedException();
  PyObject *coerced = PyObject_CallFunction(coerce, "ssOi", kind_facts(builder->type.kind)->name,
                                            declared_name(&builder->type), value, (int)builder->type.scale);
  if (coerced == NULL || coerced == Py_NotImplemented) {
    if (coerced == NULL) {
      Py_DECREF(mismatch);
    } else {
      PyErr_SetRaisedException(mismatch);
    }
    Py_XDECREF(coerced);
    return -1;
  }
  Py_DECREF(mismatch);
  int status = append_value(builder, coerced);
  Py_DECREF(coerced);
  return status;
}

int builder_append(struct builder *builder, PyObject *value) {
  if (value == Py_None) return builder_append_null(builder);
#ifdef UDF_NUMPY
  if (numpy_is_value(value)) {
    PyObject *plain = numpy_plain(value);
    int appended = plain == NULL ? -1 : builder_append(builder, plain);
    Py_XDECREF(plain);
    return appended;
  }
#endif
  if (builder_next_row(builder) < 0) return -1;
  if (!builder->declared && infer(builder, value) < 0) return -1;
  int status = append_value(builder, value);
  if (status < 0 && builder->declared && !as_it_is && was_mismatch(builder)) status = append_coerced(builder, value);
  if (status < 0) {
    builder_undo_row(builder);
    return -1;
  }
  builder_close_row(builder, true);
  return 0;
}

int builder_append_as_it_is(struct builder *builder, PyObject *value) {
  as_it_is = true;
  int status = builder_append(builder, value);
  as_it_is = false;
  return status;
}
