/* The type of a value, and of a column whose type wasn't declared. */
#ifndef UDF_INFER_H
#define UDF_INFER_H

#include "codec/builder.h"

/* Import what the functions need of Python. Returns 0, or -1 with an exception. */
int infer_prepare(void);

/* Return whether a value is an instance of a class. */
bool is_a(PyObject *value, PyObject *class);

/* Return whether a datetime, or a time, has a time zone. */
bool is_aware(PyObject *datetime);
bool is_aware_time(PyObject *time);

/* Return whether a value is a tuple whose class names its fields. */
bool is_named_tuple(PyObject *value);

/* Return the kind of type that holds a value, SQL_NULL if none does. */
enum sql_kind kind_of_value(PyObject *value);

/* Load 128 bits from memory of any alignment. */
__int128 load_hugeint(const uint8_t *at);

/* Functions that return int return 0, or -1 with an exception. */

/* Raise a TypeError: the value is not of the builder's type. Returns -1. */
int wrong_type(struct builder *builder, PyObject *value);

/* Return whether the pending exception is what `wrong_type` has raised for this builder. */
bool was_mismatch(const struct builder *builder);

/* Decide the type of an undeclared column that has only NULLs yet. */
int infer_kind(struct builder *builder, enum sql_kind kind);

/* Change an undeclared column so that `value` fits: the first value decides the type, integers beside floats become
 * floats if they all are exact, and values that don't go together make it a UNION, in which each row has its own
 * type. */
int infer(struct builder *builder, PyObject *value);

#endif
