#include "columns.h"

#include "encode.h"

static PyTypeObject *columns_class; /* duckdb_wasi_udf.Columns (duckdb_wasi_udf/_shared/columns.py) */

int columns_prepare(void) {
  PyObject *module = PyImport_ImportModule("duckdb_wasi_udf");
  columns_class = module == NULL ? NULL : (PyTypeObject *)PyObject_GetAttrString(module, "Columns");
  Py_XDECREF(module);
  return columns_class == NULL ? -1 : 0;
}

int is_columns(PyObject *value) { return Py_IS_TYPE(value, columns_class); }

PyObject *iterate_rows(PyObject *returned) {
  if (PyUnicode_Check(returned) || PyBytes_Check(returned) || PyDict_Check(returned)) {
    PyErr_Format(PyExc_TypeError, "the function returned %.100s; a table function yields rows, or returns an iterable of "
                 "them, such as a list of dicts; for columns write Columns(...)", Py_TYPE(returned)->tp_name);
    return NULL;
  }
  PyObject *rows = is_columns(returned) ? PyTuple_Pack(1, returned) : Py_NewRef(returned);
  PyObject *iterator = rows == NULL ? NULL : PyObject_GetIter(rows);
  Py_XDECREF(rows);
  return iterator;
}

/* ---- taking them apart ------------------------------------------------------------------------------------------- */

static Py_ssize_t n_columns(const struct columns *columns) { return PyTuple_GET_SIZE(columns->names); }

static int open_values(struct columns *columns, PyObject *by_name) {
  columns->names = PySequence_Tuple(by_name);
  if (columns->names == NULL) return -1;
  columns->values = calloc((size_t)n_columns(columns) + 1, sizeof *columns->values);
  if (columns->values == NULL) return out_of_memory();
  for (Py_ssize_t i = 0; i < n_columns(columns); i++) {
    PyObject *name = PyTuple_GET_ITEM(columns->names, i);
    PyObject *given = PyObject_GetItem(by_name, name);
    int failed = given == NULL || values_open(&columns->values[i], given, "a column of Columns is no iterable") < 0;
    Py_XDECREF(given);
    if (failed) return -1;
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

int columns_open(struct columns *columns, PyObject *given) {
  columns_close(columns);
  PyObject *by_name = PyObject_GetAttrString(given, "by_name");
  PyObject *by_position = by_name == NULL ? NULL : PyObject_GetAttrString(given, "by_position");
  columns->by_position = by_position == NULL ? -1 : PyObject_IsTrue(by_position);
  int failed = columns->by_position < 0 || open_values(columns, by_name) < 0;
  Py_XDECREF(by_position);
  Py_XDECREF(by_name);
  if (failed) columns_close(columns);
  return failed ? -1 : 0;
}

void columns_close(struct columns *columns) {
  for (Py_ssize_t i = 0; columns->values != NULL && i < n_columns(columns); i++) values_close(&columns->values[i]);
  free(columns->values);
  Py_XDECREF(columns->names);
  *columns = (struct columns){.names = NULL};
}

/* ---- appending --------------------------------------------------------------------------------------------------- */

/* Whether each value of the only column is a row as it is. */
static int is_bare(const struct columns *columns, const struct builder *builder) {
  return columns->by_position && n_columns(columns) == 1 && builder->declared && builder->type.kind != SQL_STRUCT;
}

/* A row as the function could have given it alone: a tuple where positions count, else a dict. */
static PyObject *row_at(const struct columns *columns, const struct builder *builder, Py_ssize_t row) {
  Py_ssize_t n = n_columns(columns);
  int tuple = columns->by_position && builder->declared;
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
  int failed = row == NULL || builder_append(builder, row) < 0;
  Py_XDECREF(row);
  columns->next++;
  return failed ? -1 : 0;
}

/* The column for the field at `position` of a STRUCT; NULL when there is none. */
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

/* Appends rows to a STRUCT, field by field. The first of them has been appended as any row is: it has the fields. */
static int append_fields(struct columns *columns, struct builder *builder, Py_ssize_t count) {
  for (int64_t i = 0; i < builder->n_children; i++) {
    struct builder *field = builder->children[i];
    struct values *values = values_for(columns, builder, i);
    int failed = 0;
    if (values != NULL) {
      failed = values_append(values, field, columns->next, count) < 0;
    } else {
      for (Py_ssize_t k = 0; k < count && !failed; k++) failed = builder_append_null(field) < 0;
    }
    if (failed) {
      builder->length = field->length;
      return -1;
    }
  }
  builder_close_rows(builder, count);
  columns->next += count;
  return 0;
}

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
