/* Python objects to a column. */
#ifndef UDF_ENCODE_H
#define UDF_ENCODE_H

#include "codec/builder.h"

/* Append a value, None as NULL. Returns 0, or -1 with an exception; then the builder holds the rows before it. */
int builder_append(struct builder *builder, PyObject *value);

/* Append a value likewise, of a class of Python's own, and run no code of Python's meanwhile: a value that would have
 * to be converted by such code is refused. */
int builder_append_as_it_is(struct builder *builder, PyObject *value);

#endif
