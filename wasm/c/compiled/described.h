/* What values hold that nest, so that C can go through them: the compiler writes it among the constants. */
#ifndef UDF_COMPILED_DESCRIBED_H
#define UDF_COMPILED_DESCRIBED_H

#include "codec/builder.h"
#include "codec/decode.h"
#include "compiled/containers.h"

/* The types beyond those of enum field_type, and the numbers of the containers' descriptions. The numbers of types are
 * those of wasm/python/_udf_compiler/values.py. */
enum {
  DATE_TYPE = 5,
  DATETIME_TYPE = 6,
  TIMEDELTA_TYPE = 7,
  LIST_TYPE = 8,
  DICT_TYPE = 10,
  RECORD_TYPE = 12,
  STRUCT_TYPE = 13,
};
enum { OF_LIST, OF_DICT, OF_RECORD, OF_STRUCT, N_CONTAINERS };

/* A field of a slot. wasm/python/_udf_compiler/described.py writes both structs. */
struct described_field {
  uint32_t offset, type;             /* as of `struct container` */
  uint32_t containers[N_CONTAINERS]; /* where the descriptions are of the containers that it may hold; 0: none */
};

/* A list, a dict, a tuple or a dict with names that are known: a record and a struct are a slot themselves. */
struct described {
  uint32_t stride;
  uint32_t n_keys, keys_are_tuples, n_values, values_are_tuples;
  uint32_t compared;               /* what `struct container` has of it, among the constants */
  struct described_field fields[]; /* of items or keys, then of values; behind them the texts of a struct's names */
};

/* The names of a struct: (offset among the constants, length) of each. */
static inline const uint32_t *described_names(const struct described *described) {
  return (const uint32_t *)&described->fields[described->n_keys];
}

/* All descriptions of a value, and where the texts of names are. */
struct descriptions {
  struct compiled_context *context;
  const uint32_t *words; /* the field of the value, then what it refers to, by numbers of words */
};

static inline const struct described *described_at(const struct descriptions *all, uint32_t number) {
  return (const struct described *)(const void *)(all->words + number);
}

/* Return what a value of 8 bytes points to: an address is its upper half. */
static inline const void *pointed_at(const uint8_t *at) {
  uint32_t address;
  memcpy(&address, at + 4, 4);
  return (const void *)address;
}

#endif
