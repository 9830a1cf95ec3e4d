/* Text as compiled code has it: UTF-8 at an address, of a length. What kernels of text have in common. */
#ifndef UDF_COMPILED_TEXT_H
#define UDF_COMPILED_TEXT_H

#include <Python.h>
#include <string.h>

#include "compiled/context.h"

/* The longest text that a kernel makes, in bytes. */
#define MAX_TEXT (1 << 17)

typedef const uint8_t *text_t;

/* Return a text as one number: its address in the high half, its length in the low one. Lists are the same, with a
 * count of items of 8 bytes. */
static inline uint64_t packed(text_t at, uint32_t n) { return (uint64_t)(uint32_t)at << 32 | n; }

/* Return room for a text in the arena. NULL if there is none. */
static inline uint8_t *take(struct compiled_context *context, uint32_t n) {
  uint32_t at = context->arena_at, next = (at + n + 15) & ~7u; /* room to write 8 bytes at a time */
  if (n > MAX_TEXT || next > context->arena_end) return NULL;
  context->arena_at = next;
  return (uint8_t *)at;
}

static inline int is_ascii(text_t p, uint32_t n) {
  uint64_t all = 0, word;
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, p + i, 8);
    all |= word;
  }
  for (; i < n; i++) all |= (uint64_t)(p[i] & 0x80);
  return (all & UINT64_C(0x8080808080808080)) == 0;
}

static inline void copy(uint8_t *to, text_t from, uint32_t n) {
  uint32_t i = 0;
  uint64_t word;
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, from + i, 8);
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) to[i] = from[i];
}

static inline int equal(text_t p, text_t q, uint32_t n) {
  uint32_t i = 0;
  uint64_t a, b;
  for (; i + 8 <= n; i += 8) {
    memcpy(&a, p + i, 8);
    memcpy(&b, q + i, 8);
    if (a != b) return 0;
  }
  for (; i < n; i++) {
    if (p[i] != q[i]) return 0;
  }
  return 1;
}

/* Return the length of the whitespace (str.isspace) at p, 0 if it is none. */
static inline uint32_t space_at(text_t p, uint32_t n) {
  uint8_t c = p[0];
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
  if (c == 0xC2 && n >= 2) return p[1] == 0x85 || p[1] == 0xA0 ? 2 : 0;
  if (n < 3) return 0;
  if (c == 0xE1) return p[1] == 0x9A && p[2] == 0x80 ? 3 : 0;
  if (c == 0xE2)
    return (p[1] == 0x80 && (p[2] <= 0x8A || p[2] == 0xA8 || p[2] == 0xA9 || p[2] == 0xAF)) ||
                   (p[1] == 0x81 && p[2] == 0x9F)
               ? 3
               : 0;
  if (c == 0xE3) return p[1] == 0x80 && p[2] == 0x80 ? 3 : 0;
  return 0;
}

/* Return the first place of a byte; n if there is none. */
static inline uint32_t find_byte(text_t p, uint32_t n, uint8_t c) {
  uint64_t ones = UINT64_C(0x0101010101010101), wanted = ones * c, word;
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, p + i, 8);
    word ^= wanted;
    uint64_t zero = (word - ones) & ~word & ones * 0x80;
    if (zero) return i + (uint32_t)__builtin_ctzll(zero) / 8;
  }
  for (; i < n && p[i] != c; i++) {
  }
  return i;
}

static inline int64_t find(text_t p, uint32_t n, text_t q, uint32_t m) {
  if (m == 0) return 0;
  if (m > n) return -1;
  uint32_t last = n - m, i = 0;
  while (i <= last) {
    i += find_byte(p + i, last - i + 1, q[0]);
    if (i > last) return -1;
    if (equal(p + i + 1, q + 1, m - 1)) return i;
    i++;
  }
  return -1;
}

static inline int64_t find_last(text_t p, uint32_t n, text_t q, uint32_t m) {
  if (m > n) return -1;
  for (int64_t i = (int64_t)n - m; i >= 0; i--) {
    if (equal(p + i, q, m)) return i;
  }
  return -1;
}

static inline int64_t points(text_t p, uint32_t n) {
  int64_t count = 0;
  for (uint32_t i = 0; i < n; i++) count += (p[i] & 0xC0) != 0x80;
  return count;
}

static inline uint32_t point_length(uint8_t c) { return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4; }

static inline uint32_t offset_of(text_t p, uint32_t n, int64_t point) {
  uint32_t at = 0;
  while (point-- > 0 && at < n) at += point_length(p[at]);
  return at;
}

/* Return a new str; NULL with an exception. */
static inline PyObject *text_object(text_t p, uint32_t n) { return PyUnicode_DecodeUTF8((const char *)p, n, NULL); }

/* Copy a str, which may be NULL with an exception, into the arena. Takes over the reference. */
uint64_t text_from_object(struct compiled_context *context, PyObject *text);

#endif
