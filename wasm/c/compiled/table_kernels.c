#include "compiled/containers.h"

/* Sets and dicts: tables of slots in the order in which their keys came, with an index by hash. */

#define FIRST_SIZE 16

int32_t k_list_room(struct compiled_context *context, struct container *list, uint32_t more);

static inline uint32_t hash_word(uint32_t hash, uint64_t word) {
  uint64_t mixed = (word ^ hash) * UINT64_C(0x9E3779B97F4A7C15);
  return (uint32_t)(mixed >> 32) ^ (uint32_t)mixed;
}

/* Hash the key of a slot. Values that are equal have the same hash. False for what has none here. */
static bool hash_of(const uint32_t *described, const uint8_t *slot, uint32_t *hashed) {
  uint32_t hash = 0;
  for (uint32_t n = 0; n < described[0]; n++) {
    struct field field = field_of(described, n, slot);
    uint64_t word;
    memcpy(&word, field.at, 8);
    if (field.type == STR_TYPE) {
      text_t p = (text_t)(uint32_t)(word >> 32);
      uint32_t length = (uint32_t)word, i = 0;
      hash = hash_word(hash, length);
      for (; i + 8 <= length; i += 8) {
        uint64_t part;
        memcpy(&part, p + i, 8);
        hash = hash_word(hash, part);
      }
      for (; i < length; i++) hash = hash_word(hash, p[i]);
      continue;
    }
    if (field.type == FLOAT_TYPE) {
      double value;
      memcpy(&value, field.at, 8);
      if (value != value) return false; /* equal to itself alone */
      if (value >= -9223372036854775808.0 && value < 9223372036854775808.0 && value == (double)(int64_t)value) {
        word = (uint64_t)(int64_t)value;
      }
    }
    if (field.type > LAST_SIMPLE_TYPE) return false;
    hash = hash_word(hash, field.type == NONE_TYPE ? 1 : word);
  }
  *hashed = hash;
  return true;
}

static uint8_t *slot_at(const struct container *table, uint32_t number) {
  return table->data + (size_t)number * table->stride;
}

static inline void head_of(const uint8_t *slot, uint32_t head[2]) { memcpy(head, slot, 8); }

static uint8_t *found(const struct container *table, const uint8_t *wanted, uint32_t hash) {
  if (table->index_size == 0) return NULL;
  for (uint32_t i = hash;; i++) {
    uint32_t number = table->index[i & (table->index_size - 1)], head[2];
    if (number == 0) return NULL;
    uint8_t *slot = slot_at(table, number - 1);
    head_of(slot, head);
    if (head[0] == hash && head[1] && slot_order(table->described, slot, wanted, true) == 0) return slot;
  }
}

/* Return the slot whose key equals that of a slot outside; NULL if there is none. */
uint8_t *KERNEL(k_table_find)(struct compiled_context *context, const struct container *table, const uint8_t *wanted) {
  uint32_t hash;
  if (!hash_of(table->described, wanted, &hash)) {
    context->error = KERNEL_BAIL;
    return NULL;
  }
  return found(table, wanted, hash);
}

static bool grow_index(struct compiled_context *context, struct container *table) {
  uint32_t size = table->index_size == 0 ? FIRST_SIZE : table->index_size * 2;
  uint32_t *index = (uint32_t *)take(context, size * 4);
  if (index == NULL) return false;
  memset(index, 0, (size_t)size * 4);
  for (uint32_t number = 0; number < table->count; number++) {
    uint32_t head[2];
    head_of(slot_at(table, number), head);
    if (!head[1]) continue;
    uint32_t i = head[0];
    while (index[i & (size - 1)] != 0) i++;
    index[i & (size - 1)] = number + 1;
  }
  table->index = index;
  table->index_size = size;
  return true;
}

/* Return the slot for a key, which is added if there is none, with the other fields as they are. NULL, with an error,
 * where there is no room, or no hash. */
uint8_t *KERNEL(k_table_add)(struct compiled_context *context, struct container *table, const uint8_t *wanted) {
  uint32_t hash;
  uint8_t *slot = NULL;
  if (hash_of(table->described, wanted, &hash)) {
    slot = found(table, wanted, hash);
    if (slot != NULL) return slot;
    bool fits = table->count * 2 < table->index_size || grow_index(context, table);
    if (fits && k_list_room(context, table, 1)) slot = slot_at(table, table->count);
  }
  if (slot == NULL) {
    context->error = KERNEL_BAIL;
    return NULL;
  }
  memcpy(slot, wanted, table->stride);
  uint32_t head[2] = {hash, 1}, i = hash;
  memcpy(slot, head, 8);
  while (table->index[i & (table->index_size - 1)] != 0) i++;
  table->index[i & (table->index_size - 1)] = ++table->count;
  table->live++;
  return slot;
}

/* Take a slot out of use. */
int32_t KERNEL(k_table_remove)(struct container *table, uint8_t *slot) {
  memset(slot + 4, 0, 4);
  table->live--;
  return 1;
}
