/* Lists, sets and dicts that compiled code makes: they live in the arena, for the length of a row. */
#ifndef UDF_COMPILED_CONTAINERS_H
#define UDF_COMPILED_CONTAINERS_H

#include "compiled/text.h"

/* A list, or the table of a set or dict. The compiler knows the offsets (wasm/python/_udf_compiler/containers.py).
 *
 * A slot holds fields of 8 bytes, each followed by 8 bytes with the number of its type if it may have several. A slot
 * of a table begins with 8 bytes of its own: the hash of its key, and whether it is in use. */
struct container {
  uint8_t *data;             /*  0: slots, in order */
  uint32_t count;            /*  4: of slots, those included that are no longer in use */
  uint32_t capacity;         /*  8: of slots */
  uint32_t live;             /* 12: number of slots in use, of a table */
  uint32_t *index;           /* 16: numbers of slots by hash, from 1 on; 0: none */
  uint32_t index_size;       /* 20: a power of two */
  uint32_t stride;           /* 24: bytes of a slot */
  const uint32_t *described; /* 28: the fields that are compared: their number, then for each its type and its offset */
};

/* The numbers of types are those of wasm/python/_udf_compiler/values.py. MIXED: the number is behind the field. */
enum field_type {
  NONE_TYPE = 0,
  BOOL_TYPE = 1,
  INT_TYPE = 2,
  FLOAT_TYPE = 3,
  STR_TYPE = 4,
  LAST_SIMPLE_TYPE = 7,
  DECIMAL_TYPE = 11,
  MIXED = 255
};

struct field {
  uint32_t type;
  const uint8_t *at;
};

/* Return a field of a slot. */
static inline struct field field_of(const uint32_t *described, uint32_t n, const uint8_t *slot) {
  uint32_t type = described[1 + 2 * n];
  const uint8_t *at = slot + described[2 + 2 * n];
  if (type == MIXED) memcpy(&type, at + 8, 4);
  return (struct field){type, at};
}

/* Whether two values are equal, or which is the lesser: -1, 0, 1. UNORDERED: the interpreter has to say, or raises. */
#define UNORDERED 2
int field_order(struct field a, struct field b, bool only_equality);

/* Compare slots field by field, as tuples are. */
int slot_order(const uint32_t *described, const uint8_t *a, const uint8_t *b, bool only_equality);

/* Return a new list with room for some items. NULL where there is no room. */
struct container *list_with_room(struct compiled_context *context, uint32_t stride, const uint32_t *described,
                                 uint64_t capacity);

#endif
