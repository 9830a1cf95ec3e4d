/* The types both directions of the codec share. */
#ifndef UDF_TYPES_H
#define UDF_TYPES_H

#include <Python.h>

#include "abi.h"

/* The maximum depth of nested types, of arguments and of inferred results. The host's module for types has the same
 * bound. */
#define MAX_DEPTH 32

/* A SQL type without what is inside. */
enum sql_kind {
  SQL_NULL, /* also: not inferred yet */
  SQL_BOOLEAN,
  SQL_TINYINT,
  SQL_SMALLINT,
  SQL_INTEGER,
  SQL_BIGINT,
  SQL_UTINYINT,
  SQL_USMALLINT,
  SQL_UINTEGER,
  SQL_UBIGINT,
  SQL_HUGEINT,
  SQL_UHUGEINT,
  SQL_BIGNUM,
  SQL_FLOAT,
  SQL_DOUBLE,
  SQL_DECIMAL,
  SQL_VARCHAR,
  SQL_BLOB,
  SQL_BIT,
  SQL_DATE,
  SQL_TIME,
  SQL_TIMETZ,
  SQL_TIMESTAMP,
  SQL_TIMESTAMPTZ,
  SQL_INTERVAL,
  SQL_UUID,
  SQL_JSON,
  SQL_ENUM,
  SQL_LIST,
  SQL_ARRAY,
  SQL_STRUCT,
  SQL_MAP,
  SQL_UNION,
  SQL_VARIANT,
};

/* The name of a kind, and the layout of its results in memory. */
struct kind_facts {
  const char *name;      /* as in SQL */
  const char *format;    /* of the Arrow C data interface; NULL if no result has this kind, or its format varies */
  const char *extension; /* name of its extension type; NULL: none */
  int width;             /* bytes of a value in the buffer of values; 0: another layout */
};

/* A value's type. */
struct value_type {
  enum sql_kind kind;
  enum sql_kind narrow;    /* of a result: what was declared, if results of `kind` are built for it (INTEGER: BIGINT,
                              FLOAT: DOUBLE, ARRAY: LIST, ENUM: VARCHAR); SQL_NULL otherwise */
  enum ArrowTimeUnit unit; /* TIME and TIMESTAMP */
  bool as_text;            /* UUID that arrives as its text */
  bool as_byte;            /* BOOLEAN that arrives as a byte */
  int32_t precision;       /* DECIMAL: number of digits */
  int32_t scale;           /* DECIMAL: number of digits after the point */
  int32_t array_size;      /* ARRAY */
  PyObject *members;       /* of a result declared as an ENUM: a dict with its values as keys; NULL elsewhere */
  int64_t n_children;      /* LIST, ARRAY: values; MAP: keys and values; STRUCT: fields; UNION: members; ENUM: values;
                              VARIANT: metadata and values */
  struct value_type *children;
  PyObject *name; /* of a STRUCT's field or a UNION's member: an interned str; NULL elsewhere */
};

/* Import what the codec needs of Python. Returns 0, or -1 with an exception. */
int types_prepare(void);

/* Read a schema. Returns 0, or -1 with an exception if the type, or one inside it, has no codec. */
int value_type_read(struct value_type *type, const struct ArrowSchema *schema);

/* Read the schema of a result: `narrow` says where its values have to fit a narrower type than they are built as.
 * Returns 0, or -1 with an exception. */
int result_type_read(struct value_type *type, const struct ArrowSchema *schema);

/* Return the name of a type as it was declared. */
const char *declared_name(const struct value_type *type);

/* Raise MemoryError. Returns -1. */
int out_of_memory(void);

const struct kind_facts *kind_facts(enum sql_kind kind);

extern PyObject *decimal_class;  /* decimal.Decimal */
extern PyObject *uuid_class;     /* uuid.UUID */
extern PyObject *interval_class; /* duckdb_wasi_udf.Interval */
extern PyObject *json_loads;     /* json.loads */
extern PyObject *json_dumps;     /* the `encode` of a json.JSONEncoder */
extern PyObject *json_check;     /* _udf_codec.json_text.check */
extern PyObject *coerce;         /* _udf_codec.coercion.coerce */

#endif
