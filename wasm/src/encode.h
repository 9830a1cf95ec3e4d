/* Python objects to a column. */
#ifndef UDF_ENCODE_H
#define UDF_ENCODE_H

#include "builder.h"

/* Imports what encoding needs. 0, or -1 with an exception. */
int encode_prepare(void);

/* Appends a value, None as NULL. 0, or -1 with an exception, after which the builder holds the rows before it. */
int builder_append(struct builder *builder, PyObject *value);

#endif
