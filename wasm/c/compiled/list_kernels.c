#include "compiled/containers.h"

/* Lists. A kernel that returns a list or a flag returns KERNEL_BAIL or 0 where there is no room, or where the
 * interpreter has to decide. */

#define MOST_ITEMS (1 << 16)

/* Take room from the arena that isn't bounded as texts are. */
static uint8_t *room(struct compiled_context *context, uint64_t n) {
  uint64_t next = (context->arena_at + n + 7) & ~UINT64_C(7);
  if (next > context->arena_end) return NULL;
  uint8_t *at = (uint8_t *)context->arena_at;
  context->arena_at = (uint32_t)next;
  return at;
}

struct container *list_with_room(struct compiled_context *context, uint32_t stride, const uint32_t *described,
                                 uint64_t capacity) {
  struct container *list = (struct container *)room(context, sizeof *list);
  uint8_t *data = list == NULL || capacity > MOST_ITEMS ? NULL : room(context, capacity * stride);
  if (data == NULL) return NULL;
  *list = (struct container){.data = data, .capacity = (uint32_t)capacity, .stride = stride, .described = described};
  return list;
}

static inline uint64_t result(const struct container *list) {
  return list == NULL ? KERNEL_BAIL : packed((text_t)list, 0);
}

/* Return a new list, or an empty table, with room for some items. */
uint64_t KERNEL(k_list_new)(struct compiled_context *context, uint32_t stride, const uint32_t *described,
                            uint32_t capacity) {
  return result(list_with_room(context, stride, described, capacity));
}

/* Return a list of items of 8 bytes that are there already. */
uint64_t KERNEL(k_list_of)(struct compiled_context *context, uint8_t *data, uint32_t count, const uint32_t *described) {
  struct container *list = list_with_room(context, 8, described, 0);
  if (list == NULL) return KERNEL_BAIL;
  list->data = data;
  list->count = list->capacity = count;
  return result(list);
}

/* Make room for more items. */
int32_t KERNEL(k_list_room)(struct compiled_context *context, struct container *list, uint32_t more) {
  uint64_t wanted = (uint64_t)list->count + more;
  if (wanted <= list->capacity) return 1;
  if (wanted > MOST_ITEMS) return 0;
  uint64_t capacity = wanted < 8 ? 8 : wanted * 2;
  uint8_t *data = room(context, capacity * list->stride);
  if (data == NULL) return 0;
  memcpy(data, list->data, (size_t)list->count * list->stride);
  list->data = data;
  list->capacity = (uint32_t)capacity;
  return 1;
}

/* Open a gap for an item that is inserted at a place, as list.insert bounds it. Returns the gap. */
uint8_t *KERNEL(k_list_open)(struct compiled_context *context, struct container *list, int64_t at) {
  if (!k_list_room(context, list, 1)) return NULL;
  if (at < 0) at += list->count;
  if (at < 0) at = 0;
  if (at > list->count) at = list->count;
  uint8_t *gap = list->data + (size_t)at * list->stride;
  memmove(gap + list->stride, gap, (list->count - (size_t)at) * list->stride);
  list->count++;
  return gap;
}

/* Remove the item at a place that there is, once it was read. */
int32_t KERNEL(k_list_close)(struct container *list, uint32_t at) {
  uint8_t *gap = list->data + (size_t)at * list->stride;
  list->count--;
  memmove(gap, gap + list->stride, (list->count - (size_t)at) * list->stride);
  return 1;
}

/* list[start:stop:step]; the bits of `given` say which of them there are. `step` isn't 0. */
uint64_t KERNEL(k_list_slice)(struct compiled_context *context, const struct container *list, int64_t start,
                              int64_t stop, int64_t step, int32_t given) {
  int64_t length = list->count, count = 0;
  if (step < -INT32_MAX || step > INT32_MAX) step = step < 0 ? -INT32_MAX : INT32_MAX;
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
  if (given & 1) {
    if (start < 0) start = start < -length ? low : start + length;
    if (start < low) start = low;
    if (start > high) start = high;
  } else {
    start = step < 0 ? high : low;
  }
  if (given & 2) {
    if (stop < 0) stop = stop < -length ? low : stop + length;
    if (stop < low) stop = low;
    if (stop > high) stop = high;
  } else {
    stop = step < 0 ? low : high;
  }
  if (step > 0 && start < stop) count = (stop - start - 1) / step + 1;
  if (step < 0 && stop < start) count = (start - stop - 1) / -step + 1;
  struct container *made = list_with_room(context, list->stride, list->described, (uint64_t)count);
  if (made == NULL) return KERNEL_BAIL;
  uint32_t stride = list->stride;
  for (int64_t i = 0; i < count; i++) {
    memcpy(made->data + (size_t)i * stride, list->data + (size_t)(start + i * step) * stride, stride);
  }
  made->count = (uint32_t)count;
  return result(made);
}

int32_t KERNEL(k_list_reverse)(struct container *list) {
  uint32_t stride = list->stride;
  for (uint32_t i = 0, j = list->count; i + 1 < j; i++) {
    uint8_t *a = list->data + (size_t)i * stride, *b = list->data + (size_t)--j * stride;
    for (uint32_t k = 0; k < stride; k += 8) {
      uint64_t word, other;
      memcpy(&word, a + k, 8);
      memcpy(&other, b + k, 8);
      memcpy(a + k, &other, 8);
      memcpy(b + k, &word, 8);
    }
  }
  return 1;
}

/* list[start:stop] = another list, which may be the same one; the bits of `given` say which bounds there are. */
int32_t KERNEL(k_list_splice)(struct compiled_context *context, struct container *list, int64_t start, int64_t stop,
                              int32_t given, const struct container *other) {
  int64_t length = list->count;
  if (start < 0) start = start < -length ? 0 : start + length;
  if (stop < 0) stop = stop < -length ? 0 : stop + length;
  if (!(given & 1)) start = 0;
  if (!(given & 2) || stop > length) stop = length;
  if (start > length) start = length;
  if (stop < start) stop = start;
  uint64_t more = other->count, count = (uint64_t)(length - (stop - start)) + more, stride = list->stride;
  uint8_t *data = count > MOST_ITEMS ? NULL : room(context, count * stride);
  if (data == NULL) return 0;
  memcpy(data, list->data, (size_t)start * stride);
  memcpy(data + (size_t)start * stride, other->data, (size_t)(more * stride));
  memcpy(data + ((size_t)start + more) * stride, list->data + (size_t)stop * stride, (size_t)(length - stop) * stride);
  list->data = data;
  list->count = list->capacity = (uint32_t)count;
  return 1;
}

/* Append the items of another list, which may be the same one. */
int32_t KERNEL(k_list_extend)(struct compiled_context *context, struct container *list, const struct container *more) {
  uint32_t count = more->count;
  if (!k_list_room(context, list, count)) return 0;
  memcpy(list->data + (size_t)list->count * list->stride, more->data, (size_t)count * list->stride);
  list->count += count;
  return 1;
}

/* list * n */
uint64_t KERNEL(k_list_repeat)(struct compiled_context *context, const struct container *list, int64_t n) {
  if (n < 0) n = 0;
  if (n > MOST_ITEMS) return KERNEL_BAIL;
  struct container *made = list_with_room(context, list->stride, list->described, (uint64_t)n * list->count);
  if (made == NULL) return KERNEL_BAIL;
  size_t size = (size_t)list->count * list->stride;
  for (int64_t i = 0; i < n; i++) memcpy(made->data + (size_t)i * size, list->data, size);
  made->count = (uint32_t)n * list->count;
  return result(made);
}

/* Return the first place of an item that equals a slot, -1 if there is none. `counted`: return the number of them. */
int64_t KERNEL(k_list_find)(struct compiled_context *context, const struct container *list, const uint8_t *slot,
                            int32_t counted) {
  int64_t count = 0;
  for (uint32_t i = 0; i < list->count; i++) {
    int order = slot_order(list->described, list->data + (size_t)i * list->stride, slot, true);
    if (order == UNORDERED) {
      context->error = KERNEL_BAIL;
      return 0;
    }
    if (order == 0 && !counted) return i;
    count += order == 0;
  }
  return counted ? count : -1;
}

/* Whether two lists of the same type are equal: 0 or 1, 2 for the interpreter. */
int32_t KERNEL(k_list_equal)(const struct container *a, const struct container *b) {
  if (a->count != b->count) return 0;
  for (uint32_t i = 0; i < a->count; i++) {
    int order = slot_order(a->described, a->data + (size_t)i * a->stride, b->data + (size_t)i * b->stride, true);
    if (order != 0) return order == UNORDERED ? 2 : 0;
  }
  return 1;
}

/* Merge two sorted runs of numbers of slots. Returns false where the order isn't known. */
static bool merge(const struct container *keys, const uint32_t *from, uint32_t *to, uint32_t left, uint32_t middle,
                  uint32_t right, bool descending) {
  uint32_t i = left, j = middle;
  for (uint32_t k = left; k < right; k++) {
    bool second = i >= middle;
    if (!second && j < right) { /* of equals the first stays first, in both directions */
      int order = slot_order(keys->described, keys->data + (size_t)from[i] * keys->stride,
                             keys->data + (size_t)from[j] * keys->stride, false);
      if (order == UNORDERED) return false;
      second = descending ? order < 0 : order > 0;
    }
    to[k] = second ? from[j++] : from[i++];
  }
  return true;
}

/* Return whether there is a None among keys of which each is one value: it has no order, not even with itself. */
static bool has_none(const struct container *keys) {
  if (keys->described[0] != 1 || keys->described[1] != MIXED) return false;
  for (uint32_t i = 0; i < keys->count; i++) {
    if (field_of(keys->described, 0, keys->data + (size_t)i * keys->stride).type == NONE_TYPE) return true;
  }
  return false;
}

/* Sort a list by keys, of which there are as many; they may be the list itself. */
int32_t KERNEL(k_list_sort)(struct compiled_context *context, struct container *list, const struct container *keys,
                            int32_t descending) {
  uint32_t n = list->count, stride = list->stride;
  if (n < 2) return 1;
  uint32_t *order = (uint32_t *)room(context, (uint64_t)n * 4), *other = (uint32_t *)room(context, (uint64_t)n * 4);
  uint8_t *sorted = room(context, (uint64_t)n * stride);
  if (order == NULL || other == NULL || sorted == NULL || keys->count != n || has_none(keys)) return 0;
  for (uint32_t i = 0; i < n; i++) order[i] = i;
  for (uint32_t width = 1; width < n; width *= 2) {
    for (uint32_t left = 0; left < n; left += 2 * width) {
      uint32_t middle = left + width < n ? left + width : n, right = left + 2 * width < n ? left + 2 * width : n;
      if (!merge(keys, order, other, left, middle, right, descending)) return 0;
    }
    uint32_t *swapped = order;
    order = other;
    other = swapped;
  }
  for (uint32_t i = 0; i < n; i++) {
    memcpy(sorted + (size_t)i * stride, list->data + (size_t)order[i] * stride, stride);
  }
  list->data = sorted;
  list->capacity = n;
  return 1;
}
