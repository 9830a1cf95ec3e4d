/* The types both directions of the codec share. */
#ifndef UDF_TYPES_H
#define UDF_TYPES_H

#include <Python.h>

#include "abi.h"

/* How deep types may nest: of arguments, and of results that are inferred. The host has the same bound. */
#define MAX_DEPTH 32

/* A value's type. */
struct value_type {
  enum ArrowType arrow;
  enum ArrowTimeUnit unit; /* TIME64 and TIMESTAMP */
  int with_time_zone;      /* TIMESTAMP that is an instant */
  int32_t precision;       /* DECIMAL128: digits, of which */
  int32_t scale;           /* so many follow the point */
  int32_t list_size;       /* FIXED_SIZE_LIST */
  int64_t n_children;      /* LIST: its values; MAP: keys and values; STRUCT: its fields; SPARSE_UNION: its members */
  struct value_type *children;
  PyObject *name;          /* as a field of a STRUCT: an interned str; NULL elsewhere */
};

/* Imports what the codec needs of Python. 0, or -1 with an exception. */
int types_prepare(void);

/* Reads a schema. 0, or -1 with an exception when the type, or one inside it, has no codec. */
int value_type_read(struct value_type *type, const struct ArrowSchema *schema);

/* The SQL name a user knows the type by. */
const char *sql_name(const struct value_type *type);

/* decimal.Decimal */
extern PyObject *decimal_class;

#endif
