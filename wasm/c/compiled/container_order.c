#include "compiled/containers.h"

/* How values in containers compare. */

int32_t k_cmp_if(int64_t a, double b);
int32_t k_cmp(text_t p, uint32_t n, text_t q, uint32_t m);
int32_t k_decimal_compare(struct compiled_context *context, const void *a, const void *b);

static inline int64_t integer_at(const uint8_t *at) {
  int64_t value;
  memcpy(&value, at, 8);
  return value;
}

static inline double real_at(const uint8_t *at) {
  double value;
  memcpy(&value, at, 8);
  return value;
}

static inline bool is_integer(uint32_t type) { return type == INT_TYPE || type == BOOL_TYPE; }

int field_order(struct field a, struct field b, bool only_equality) {
  if (a.type == FLOAT_TYPE && b.type == FLOAT_TYPE) {
    double x = real_at(a.at), y = real_at(b.at);
    return x != x || y != y ? UNORDERED : (x > y) - (x < y);
  }
  if (is_integer(a.type) && b.type == FLOAT_TYPE) return k_cmp_if(integer_at(a.at), real_at(b.at));
  if (a.type == FLOAT_TYPE && is_integer(b.type)) {
    int order = k_cmp_if(integer_at(b.at), real_at(a.at));
    return order == UNORDERED ? UNORDERED : -order;
  }
  bool alike = a.type == b.type || (is_integer(a.type) && is_integer(b.type));
  if (!alike && a.type != DECIMAL_TYPE && b.type != DECIMAL_TYPE) return only_equality ? 1 : UNORDERED;
  if (!alike) return UNORDERED;
  if (a.type == NONE_TYPE) return only_equality ? 0 : UNORDERED;
  int64_t x = integer_at(a.at), y = integer_at(b.at);
  if (a.type == STR_TYPE) {
    text_t p = (text_t)(uint32_t)((uint64_t)x >> 32), q = (text_t)(uint32_t)((uint64_t)y >> 32);
    if (only_equality) return (uint32_t)x != (uint32_t)y || !equal(p, q, (uint32_t)x);
    int32_t order = k_cmp(p, (uint32_t)x, q, (uint32_t)y);
    return (order > 0) - (order < 0);
  }
  if (a.type == DECIMAL_TYPE) {
    struct compiled_context context = {.error = 0};
    int order = k_decimal_compare(&context, (const void *)(uint32_t)((uint64_t)x >> 32),
                                  (const void *)(uint32_t)((uint64_t)y >> 32));
    return context.error != 0 ? UNORDERED : order;
  }
  if (a.type > LAST_SIMPLE_TYPE) return UNORDERED;
  return (x > y) - (x < y);
}

int slot_order(const uint32_t *described, const uint8_t *a, const uint8_t *b, bool only_equality) {
  for (uint32_t n = 0; n < described[0]; n++) {
    struct field x = field_of(described, n, a), y = field_of(described, n, b);
    /* the first that differ decide; whether they do is asked before which is less */
    int order = field_order(x, y, true);
    if (order == UNORDERED) return UNORDERED;
    if (order != 0) return only_equality ? 1 : field_order(x, y, false);
  }
  return 0;
}
