#include "translation.h"

#include <string.h>

#include "abi.h"
#include "exports.h"
#include "failures.h"

/* The maximum number of arguments of a function that is compiled. */
#define MAX_COLUMNS 32

static PyObject *translate; /* _udf_compiler.translate */

/* The last translation, and what udf_attach needs of it. */
static struct udf_translation translation;
static PyObject *description_bytes, *module_bytes, *recipe_bytes, *constants, *guards;
static enum sql_kind result_kind;

int translation_prepare(void) {
  PyObject *compiler = PyImport_ImportModule("_udf_compiler");
  translate = compiler == NULL ? NULL : PyObject_GetAttrString(compiler, "translate");
  Py_XDECREF(compiler);
  return translate == NULL ? -1 : 0;
}

UDF_EXPORT(udf_translation) struct udf_translation *udf_translation(void) { return &translation; }

/* Return a type as a tuple of (name in SQL, whether NULL arrives as None, detail): the unit of time, the scale, the
 * type of a LIST's values, or (name, type) of each field of a STRUCT; the names of a MAP's are None. */
static PyObject *described_type(const struct value_type *type, bool sees_null, bool is_argument) {
  const char *name = type->as_byte && is_argument ? "other" : kind_facts(type->kind)->name;
  if (type->kind == SQL_LIST) {
    return Py_BuildValue("(siN)", name, (int)sees_null, described_type(&type->children[0], true, false));
  }
  if (type->kind != SQL_STRUCT && type->kind != SQL_MAP) {
    return Py_BuildValue("(sii)", name, (int)sees_null, type->kind == SQL_DECIMAL ? (int)type->scale : (int)type->unit);
  }
  PyObject *fields = PyTuple_New(type->n_children);
  for (int64_t i = 0; fields != NULL && i < type->n_children; i++) {
    const struct value_type *child = &type->children[i];
    PyObject *field =
        Py_BuildValue("(ON)", child->name == NULL ? Py_None : child->name, described_type(child, true, false));
    if (field == NULL) Py_CLEAR(fields);
    if (field != NULL) PyTuple_SET_ITEM(fields, i, field);
  }
  return Py_BuildValue("(siN)", name, (int)sees_null, fields);
}

/* Return the types of the arguments. */
static PyObject *argument_types(void) {
  PyObject *types = PyTuple_New(function.n_args);
  for (int64_t i = 0; types != NULL && i < function.n_args; i++) {
    PyObject *entry = described_type(&function.arguments.children[i], function.sees_null[i], true);
    if (entry == NULL) Py_CLEAR(types);
    if (entry != NULL) PyTuple_SET_ITEM(types, i, entry);
  }
  return types;
}

/* Return the kind of a type by its name in SQL. */
static enum sql_kind kind_of_name(const char *name) {
  for (enum sql_kind kind = SQL_NULL; kind <= SQL_VARIANT; kind++) {
    if (strcmp(kind_facts(kind)->name, name) == 0) return kind;
  }
  return SQL_NULL;
}

/* Translate the bound function into WebAssembly. udf_translation() has what came of it. With a recipe, which another
 * instance of the same function made, nothing is translated: it is checked that the recipe holds for this instance. */
UDF_EXPORT(udf_translate) int32_t udf_translate(const char *recipe, uint32_t length) {
  if (!function.is_bound || function.by_batch || function.n_args > MAX_COLUMNS) {
    return refuse("no function is bound that could be compiled");
  }
  const struct value_type *result = &function.builder.type;
  /* Numbers are compiled as they are built, wide. Whether they fit is found out as rows are written. */
  bool is_number = result->kind == SQL_BIGINT || result->kind == SQL_DOUBLE;
  const char *declared = is_number ? kind_facts(result->kind)->name : declared_name(result);
  if (result->kind == SQL_TIMESTAMP && result->unit == NANOARROW_TIME_UNIT_NANO) declared = "TIMESTAMP_NS";
  if (!function.builder.declared) declared = NULL;
  PyObject *types = argument_types(), *made = NULL, *kind = NULL;
  if (types != NULL) {
    made = PyObject_CallFunction(translate, "OOzy#", function.callable, types, declared, recipe, (Py_ssize_t)length);
    Py_DECREF(types);
  }
  PyObject *description, *module, *next_recipe, *blob, *held;
  if (made == NULL ||
      !PyArg_ParseTuple(made, "O!O!O!O!O!O!", &PyBytes_Type, &description, &PyBytes_Type, &module, &PyBytes_Type,
                        &next_recipe, &PyBytes_Type, &blob, &PyTuple_Type, &held, &PyUnicode_Type, &kind)) {
    Py_XDECREF(made);
    return fail(NULL, NO_ROW);
  }
  keep_text(&translation.description, &description_bytes, Py_NewRef(description));
  keep_text(&translation.module, &module_bytes, Py_NewRef(module));
  keep_text(&translation.recipe, &recipe_bytes, Py_NewRef(next_recipe));
  Py_XSETREF(constants, Py_NewRef(blob));
  Py_XSETREF(guards, Py_NewRef(held));
  result_kind = kind_of_name(PyUnicode_AsUTF8(kind));
  Py_DECREF(made);
  return UDF_OK;
}

/* Run the function by the compiled code in a slot of the table, which was made of the last translation; by the
 * interpreter again for a negative number. */
UDF_EXPORT(udf_attach) int32_t udf_attach(int32_t slot) {
  if (constants == NULL) return refuse("the function was not translated");
  compiled_free(function.compiled);
  function.compiled = NULL;
  if (slot < 0) return UDF_OK;
  function.compiled = compiled_new((uint32_t)slot, constants, guards, function.n_args, result_kind);
  return function.compiled == NULL ? fail(NULL, NO_ROW) : UDF_OK;
}
