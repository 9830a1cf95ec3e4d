#include "calls/yielded_columns.h"

#include "codec/encode.h"

static PyTypeObject *columns_class; /* duckdb_wasi_udf.Columns */

int columns_prepare(void) {
  PyObject *module = PyImport_ImportModule("duckdb_wasi_udf");
  columns_class = module == NULL ? NULL : (PyTypeObject *)PyObject_GetAttrString(module, "Columns");
  Py_XDECREF(module);
  return columns_class == NULL ? -1 : 0;
}

bool is_columns(PyObject *value) { return Py_IS_TYPE(value, columns_class); }

PyObject *iterate_rows(PyObject *returned) {
  if (PyUnicode_Check(returned) || PyBytes_Check(returned) || PyDict_Check(returned)) {
    PyErr_Format(PyExc_TypeError,
                 "the function returned %.100s; a table function yields rows, or returns an iterable of "
                 "them, such as a list of dicts; for columns write Columns(...)",
                 Py_TYPE(returned)->tp_name);
    return NULL;
  }
  PyObject *rows = is_columns(returned) ? PyTuple_Pack(1, returned) : Py_NewRef(returned);
  PyObject *iterator = rows == NULL ? NULL : PyObject_GetIter(rows);
  Py_XDECREF(rows);
  return iterator;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static Py_ssize_t n_columns(const struct columns *columns) { return PyTuple_GET_SIZE(columns->names); }

static int open_values(struct columns *columns, PyObject *by_name) {
  columns->names = PySequence_Tuple(by_name);
  if (columns->names == NULL) return -1;
  columns->values = calloc((size_t)n_columns(columns) + 1, sizeof *columns->values);
  if (columns->values == NULL) return out_of_memory();
  for (Py_ssize_t i = 0; i < n_columns(columns); i++) {
    PyObject *name = PyTuple_GET_ITEM(columns->names, i);
    PyObject *column = PyObject_GetItem(by_name, name);
    int status = column == NULL ? -1 : values_open(&columns->values[i], column, "a column of Columns is no iterable");
    Py_XDECREF(column);
    if (status < 0) return -1;
    Py_ssize_t length = columns->values[i].length;
    if (i == 0) columns->length = length;
    if (length != columns->length) {
      PyErr_Format(PyExc_ValueError, "the columns of Columns differ in length: %R has %zd values, %R has %zd",
                   PyTuple_GET_ITEM(columns->names, 0), columns->length, name, length);
      return -1;
    }
  }
  return 0;
}

int columns_open(struct columns *columns, PyObject *object) {
  columns_close(columns);
  PyObject *by_name = PyObject_GetAttrString(object, "by_name");
  PyObject *by_position = by_name == NULL ? NULL : PyObject_GetAttrString(object, "by_position");
  int is_true = by_position == NULL ? -1 : PyObject_IsTrue(by_position);
  columns->by_position = is_true > 0;
  int status = is_true < 0 ? -1 : open_values(columns, by_name);
  Py_XDECREF(by_position);
  Py_XDECREF(by_name);
  if (status < 0) columns_close(columns);
  return status;
}

void columns_close(struct columns *columns) {
  for (Py_ssize_t i = 0; columns->values != NULL && i < n_columns(columns); i++) values_close(&columns->values[i]);
  free(columns->values);
  Py_XDECREF(columns->names);
  *columns = (struct columns){.names = NULL};
}

/* ---- appending --------------------------------------------------------------------------------------------------- */

/* Return whether each value of the only column is a row by itself. */
static bool is_bare(const struct columns *columns, const struct builder *builder) {
  return columns->by_position && n_columns(columns) == 1 && builder->declared && builder->type.kind != SQL_STRUCT;
}

/* Make a row as the function could have yielded it: a tuple where positions count, else a dict. */
static PyObject *row_at(const struct columns *columns, const struct builder *builder, Py_ssize_t row) {
  Py_ssize_t n = n_columns(columns);
  bool tuple = columns->by_position && builder->declared;
  PyObject *object = tuple ? PyTuple_New(n) : PyDict_New();
  for (Py_ssize_t i = 0; object != NULL && i < n; i++) {
    PyObject *value = values_get(&columns->values[i], row);
    if (value != NULL && tuple) {
      PyTuple_SET_ITEM(object, i, value);
      continue;
    }
    if (value == NULL || PyDict_SetItem(object, PyTuple_GET_ITEM(columns->names, i), value) < 0) Py_CLEAR(object);
    Py_XDECREF(value);
  }
  return object;
}

static int append_row(struct columns *columns, struct builder *builder) {
  PyObject *row = row_at(columns, builder, columns->next);
  int status = row == NULL ? -1 : builder_append(builder, row);
  Py_XDECREF(row);
  columns->next++;
  return status;
}

/* Return the column for the field at `position` of a STRUCT, NULL if there is none. */
static struct values *values_for(const struct columns *columns, const struct builder *builder, int64_t position) {
  if (columns->by_position && builder->declared) return &columns->values[position];
  PyObject *wanted = builder->children[position]->type.name;
  for (Py_ssize_t k = 0; k < n_columns(columns); k++) {
    Py_ssize_t i = (k + position) % n_columns(columns); /* mostly in order */
    PyObject *name = PyTuple_GET_ITEM(columns->names, i);
    if (PyUnicode_Check(name) && PyUnicode_Compare(name, wanted) == 0) return &columns->values[i];
  }
  return NULL;
}

/* Append rows to a STRUCT, field by field. The STRUCT has its fields from a first row, which was appended alone. */
static int append_fields(struct columns *columns, struct builder *builder, Py_ssize_t count) {
  for (int64_t i = 0; i < builder->n_children; i++) {
    struct builder *field = builder->children[i];
    struct values *values = values_for(columns, builder, i);
    int status = 0;
    if (values != NULL) {
      status = values_append(values, field, columns->next, count);
    } else {
      for (Py_ssize_t k = 0; k < count && status == 0; k++) status = builder_append_null(field);
    }
    if (status < 0) {
      builder->length = field->length;
      return -1;
    }
  }
  builder_close_rows(builder, count);
  columns->next += count;
  return 0;
}

/* Append the next `count` rows. */
static int append_rows(struct columns *columns, struct builder *builder, Py_ssize_t count) {
  if (is_bare(columns, builder)) {
    columns->next += count;
    return values_append(&columns->values[0], builder, columns->next - count, count);
  }
  while (count > 0) {
    if (append_row(columns, builder) < 0) return -1;
    count--;
    if (builder->type.kind == SQL_STRUCT) return append_fields(columns, builder, count);
  }
  return 0;
}

int columns_append(struct columns *columns, struct builder *builder, int64_t room) {
  Py_ssize_t left = columns->length - columns->next;
  if (append_rows(columns, builder, left > room ? (Py_ssize_t)room : left) < 0) return -1;
  if (!columns_left(columns)) columns_close(columns); /* the function may want to change its buffers */
  return 0;
}
