#include "compiled/text.h"

/* Text: lists of its parts. A list is a number like a text; its items are packed texts. */

/* Find the next word between whitespace. 0: there is none. */
static inline int next_word(text_t *p, uint32_t *n, uint64_t *piece) {
  uint32_t k;
  while (*n > 0 && (k = space_at(*p, *n)) > 0) *p += k, *n -= k;
  if (*n == 0) return 0;
  text_t start = *p;
  while (*n > 0 && space_at(*p, *n) == 0) *p += 1, *n -= 1;
  *piece = packed(start, (uint32_t)(*p - start));
  return 1;
}

/* s.split(q, most), or s.split() for an empty q. most < 0: no bound. */
uint64_t KERNEL(k_split)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m, int64_t most) {
  uint64_t *list = (uint64_t *)context->arena_at, piece;
  uint64_t *end = (uint64_t *)context->arena_end - 4;
  uint32_t count = 0;
  if (context->arena_at + 64 > context->arena_end) return KERNEL_BAIL;
  if (m == 0) {
    while (list + count < end && next_word(&p, &n, &piece)) list[count++] = piece;
  } else {
    for (int64_t i; most != 0 && list + count < end && (i = find(p, n, q, m)) >= 0; most--) {
      list[count++] = packed(p, (uint32_t)i);
      p += i + m;
      n -= (uint32_t)i + m;
    }
    list[count++] = packed(p, n);
  }
  if (list + count >= end) return KERNEL_BAIL;
  context->arena_at = (uint32_t)(list + count);
  return (uint64_t)(uint32_t)list << 32 | count;
}

/* s.split(q, most)[index] */
uint64_t KERNEL(k_split_at)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m, int64_t most,
                            int64_t index) {
  if (index < 0 || m == 0 || most >= 0) {
    uint32_t before = context->arena_at;
    uint64_t list = k_split(context, p, n, q, m, most);
    if (list >> 32 == 0) return list;
    context->arena_at = before;
    uint32_t count = (uint32_t)list;
    if (index < 0) index += count;
    if (index < 0 || index >= count) return KERNEL_INDEX_ERROR;
    return ((uint64_t *)(uint32_t)(list >> 32))[index];
  }
  for (;;) {
    int64_t i = find(p, n, q, m);
    if (index == 0) return packed(p, i < 0 ? n : (uint32_t)i);
    if (i < 0) return KERNEL_INDEX_ERROR;
    p += i + m;
    n -= (uint32_t)i + m;
    index--;
  }
}

/* s.rsplit(q, most), from the right. most < 0: no bound. */
uint64_t KERNEL(k_rsplit)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m, int64_t most) {
  uint64_t *list = (uint64_t *)context->arena_at, *end = (uint64_t *)context->arena_end - 4;
  uint32_t count = 0;
  if (context->arena_at + 64 > context->arena_end || m == 0) return KERNEL_BAIL;
  for (int64_t i; most != 0 && list + count < end && (i = find_last(p, n, q, m)) >= 0; most--) {
    list[count++] = packed(p + i + m, n - (uint32_t)i - m);
    n = (uint32_t)i;
  }
  list[count++] = packed(p, n);
  if (list + count >= end) return KERNEL_BAIL;
  for (uint32_t i = 0, j = count - 1; i < j; i++, j--) {
    uint64_t piece = list[i];
    list[i] = list[j];
    list[j] = piece;
  }
  context->arena_at = (uint32_t)(list + count);
  return (uint64_t)(uint32_t)list << 32 | count;
}

/* s.partition(q), or s.rpartition(q): a list of three. */
uint64_t KERNEL(k_partition)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m,
                             int32_t last) {
  uint64_t *list = (uint64_t *)context->arena_at;
  if (context->arena_at + 64 > context->arena_end || m == 0) return KERNEL_BAIL;
  int64_t i = last ? find_last(p, n, q, m) : find(p, n, q, m);
  if (i < 0) {
    list[0] = packed(p, last ? 0 : n);
    list[1] = packed(p, 0);
    list[2] = packed(p, last ? n : 0);
  } else {
    list[0] = packed(p, (uint32_t)i);
    list[1] = packed(p + i, m);
    list[2] = packed(p + i + m, n - (uint32_t)i - m);
  }
  context->arena_at = (uint32_t)(list + 3);
  return (uint64_t)(uint32_t)list << 32 | 3;
}

/* Return the length of a line's end at p, 0 if there is none. */
static inline uint32_t line_end_at(text_t p, uint32_t n) {
  uint8_t c = p[0];
  if (c == '\r') return n > 1 && p[1] == '\n' ? 2 : 1;
  if ((c >= '\n' && c <= '\f') || (c >= 0x1c && c <= 0x1e)) return 1;
  if (c == 0xC2 && n > 1 && p[1] == 0x85) return 2;
  return c == 0xE2 && n > 2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9) ? 3 : 0;
}

/* s.splitlines(keep) */
uint64_t KERNEL(k_splitlines)(struct compiled_context *context, text_t p, uint32_t n, int32_t keep) {
  uint64_t *list = (uint64_t *)context->arena_at, *end = (uint64_t *)context->arena_end - 4;
  uint32_t count = 0;
  if (context->arena_at + 64 > context->arena_end) return KERNEL_BAIL;
  while (n > 0 && list + count < end) {
    uint32_t i = 0, length = 0;
    while (i < n && (length = line_end_at(p + i, n - i)) == 0) i++;
    list[count++] = packed(p, keep ? i + length : i);
    p += i + length;
    n -= i + length;
  }
  if (n > 0) return KERNEL_BAIL;
  context->arena_at = (uint32_t)(list + count);
  return (uint64_t)(uint32_t)list << 32 | count;
}

/* Slices with a step, other than 0: of the characters of a text, or of a list. */
struct steps {
  int64_t start, step, count;
};
enum { NO_START = 1, NO_STOP = 2 }; /* bounds that are None */

/* Adjust bounds to a length, as PySlice_AdjustIndices does. */
static struct steps steps_of(int64_t length, int64_t start, int64_t stop, int64_t step, int32_t missing) {
  int64_t low = step < 0 ? -1 : 0, high = step < 0 ? length - 1 : length;
  if (start < 0) start = start < -length ? -1 : start + length;
  if (stop < 0) stop = stop < -length ? -1 : stop + length;
  start = start < low ? low : start > high ? high : start;
  stop = stop < low ? low : stop > high ? high : stop;
  if (missing & NO_START) start = step < 0 ? high : low;
  if (missing & NO_STOP) stop = step < 0 ? low : high;
  if (step > length) step = length + 1;
  if (step < -length) step = -length - 1;
  int64_t distance = step < 0 ? start - stop : stop - start, stride = step < 0 ? -step : step;
  return (struct steps){start, step, distance <= 0 ? 0 : (distance - 1) / stride + 1};
}

/* s[start:stop:step] */
uint64_t KERNEL(k_step)(struct compiled_context *context, text_t p, uint32_t n, int64_t start, int64_t stop,
                        int64_t step, int32_t missing) {
  bool ascii = is_ascii(p, n);
  struct steps steps = steps_of(ascii ? n : points(p, n), start, stop, step, missing);
  uint8_t *to = take(context, n);
  if (to == NULL || step == 0) return KERNEL_BAIL;
  uint32_t made = 0, at = ascii || steps.count == 0 ? (uint32_t)steps.start : offset_of(p, n, steps.start);
  for (int64_t i = 0; i < steps.count; i++) {
    if (i > 0 && ascii) at += (uint32_t)steps.step;
    for (int64_t k = steps.step; i > 0 && !ascii && k > 0; k--) at += point_length(p[at]);
    for (int64_t k = steps.step; i > 0 && !ascii && k < 0; k++) {
      at--;
      while (at > 0 && (p[at] & 0xC0) == 0x80) at--;
    }
    if (at >= n) return KERNEL_BAIL;
    uint32_t length = point_length(p[at]);
    if (length > n - at || length > n - made) return KERNEL_BAIL;
    memcpy(to + made, p + at, length);
    made += length;
  }
  return packed(to, made);
}
