/* Which type a value has, and what values make of a column whose type wasn't declared. */
#ifndef UDF_INFER_H
#define UDF_INFER_H

#include "codec/builder.h"

int infer_prepare(void);

int is_a(PyObject *value, PyObject *class);

int is_aware(PyObject *datetime);
int is_aware_time(PyObject *time);

/* Whether it is a tuple whose class names its fields. */
int is_named_tuple(PyObject *value);

/* The kind of type that holds the value, SQL_NULL when none does. */
enum sql_kind kind_of(PyObject *value);

/* What a value of the second kind makes of a column of the first without losing any: SQL_NULL when nothing does. */
enum sql_kind widened(enum sql_kind kind, enum sql_kind value);

/* 128 bits from memory of any alignment. */
__int128 load_hugeint(const uint8_t *at);

/* Functions that return int return 0, or -1 with an exception. */

/* Always -1: says that the value is not of the builder's type. */
int wrong_type(struct builder *builder, PyObject *value);

/* Makes an undeclared column one that `value` fits into: settles on the first value's type, widens integers to floats,
 * and turns into a UNION, where each row keeps its own type, for what doesn't go together. */
int infer(struct builder *builder, PyObject *value);

#endif
