/* The string functions that CPython uses most, in the place of zig's (0.17.1), which are weak
 * symbols.
 *
 * Those read byte by byte, and those that look for a character measure the whole text before: CPython's tokenizer looks
 * for the end of each line, so that compiling took time quadratic in the length of the source.
 *
 * Vectors are aligned where the end isn't known, so that they never reach into memory that isn't there; an address of
 * wasm is a number, and what such a vector holds beside the text is not looked at.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <wasm_simd128.h>
#include <wchar.h>

#define LANES 16

/* A bit for each byte of a block that equals the wanted one. */
static uint32_t matches(v128_t block, v128_t wanted) { return wasm_i8x16_bitmask(wasm_i8x16_eq(block, wanted)); }

/* The same without the first `skipped` bytes. */
static uint32_t without_first(uint32_t found, uintptr_t skipped) { return found >> skipped << skipped; }

static uint32_t first_of(uint32_t found) { return (uint32_t)__builtin_ctz(found); }
static uint32_t last_of(uint32_t found) { return 31 - (uint32_t)__builtin_clz(found); }

/* ---- texts, which end with a zero -------------------------------------------------------------------------------- */

size_t strlen(const char *text) {
  const uintptr_t start = (uintptr_t)text, skipped = start % LANES;
  const v128_t *at = (const v128_t *)(start - skipped), zero = wasm_i8x16_splat(0);
  uint32_t found = without_first(matches(*at, zero), skipped);
  while (!found) found = matches(*++at, zero);
  return (uintptr_t)at + first_of(found) - start;
}

char *strchrnul(const char *text, int wanted) {
  const uintptr_t start = (uintptr_t)text, skipped = start % LANES;
  const v128_t *at = (const v128_t *)(start - skipped), zero = wasm_i8x16_splat(0);
  const v128_t one = wasm_i8x16_splat((int8_t)wanted);
  uint32_t found = without_first(matches(*at, zero) | matches(*at, one), skipped);
  while (!found) {
    at++;
    found = matches(*at, zero) | matches(*at, one);
  }
  return (char *)((uintptr_t)at + first_of(found));
}

char *strchr(const char *text, int wanted) {
  char *found = strchrnul(text, wanted);
  return *found == (char)wanted ? found : NULL;
}

char *strrchr(const char *text, int wanted) { return memrchr(text, wanted, strlen(text) + 1); }

size_t strnlen(const char *text, size_t most) {
  const char *end = memchr(text, 0, most);
  return end == NULL ? most : (size_t)(end - text);
}

char *strncpy(char *restrict to, const char *restrict from, size_t most) {
  size_t length = strnlen(from, most);
  memcpy(to, from, length);
  memset(to + length, 0, most - length);
  return to;
}

/* A set of bytes. */
struct set {
  uint32_t bits[8];
};

static int contains(const struct set *set, char byte) {
  return set->bits[(uint8_t)byte / 32] >> (uint8_t)byte % 32 & 1;
}

static struct set set_of(const char *bytes) {
  struct set set = {{0}};
  for (; *bytes; bytes++) set.bits[(uint8_t)*bytes / 32] |= (uint32_t)1 << (uint8_t)*bytes % 32;
  return set;
}

size_t strcspn(const char *text, const char *rejected) {
  const struct set set = set_of(rejected);
  const char *at = text;
  while (*at && !contains(&set, *at)) at++;
  return (size_t)(at - text);
}

size_t strspn(const char *text, const char *accepted) {
  const struct set set = set_of(accepted);
  const char *at = text;
  while (*at && contains(&set, *at)) at++;
  return (size_t)(at - text);
}

char *strpbrk(const char *text, const char *wanted) {
  text += strcspn(text, wanted);
  return *text ? (char *)text : NULL;
}

char *strstr(const char *text, const char *wanted) {
  size_t length = strlen(wanted);
  if (length == 0) return (char *)text;
  while ((text = strchr(text, *wanted)) != NULL && strncmp(text, wanted, length) != 0) text++;
  return (char *)text;
}

/* ---- bytes, whose number is known -------------------------------------------------------------------------------- */

void *memchr(const void *data, int wanted, size_t length) {
  if (length == 0) return NULL;
  const uintptr_t start = (uintptr_t)data, skipped = start % LANES;
  const v128_t one = wasm_i8x16_splat((int8_t)wanted);
  const v128_t *at = (const v128_t *)(start - skipped);
  uint32_t found = without_first(matches(*at, one), skipped);
  while (!found) {
    at++;
    if ((uintptr_t)at - start >= length) return NULL;
    found = matches(*at, one);
  }
  uintptr_t offset = (uintptr_t)at + first_of(found) - start;
  return offset < length ? (char *)data + offset : NULL;
}

void *memrchr(const void *data, int wanted, size_t length) {
  const uint8_t *bytes = data;
  const v128_t one = wasm_i8x16_splat((int8_t)wanted);
  for (; length >= LANES; length -= LANES) {
    uint32_t found = matches(wasm_v128_load(bytes + length - LANES), one);
    if (found) return (void *)(bytes + length - LANES + last_of(found));
  }
  while (length-- > 0) {
    if (bytes[length] == (uint8_t)wanted) return (void *)(bytes + length);
  }
  return NULL;
}

/* For texts of four bytes a character, which is how Python keeps those with an emoji. */
wchar_t *wmemchr(const wchar_t *data, wchar_t wanted, size_t length) {
  const v128_t one = wasm_i32x4_splat((int32_t)wanted);
  for (; length >= LANES / sizeof *data; data += LANES / sizeof *data, length -= LANES / sizeof *data) {
    uint32_t found = wasm_i32x4_bitmask(wasm_i32x4_eq(wasm_v128_load(data), one));
    if (found) return (wchar_t *)data + first_of(found);
  }
  for (; length > 0; data++, length--) {
    if (*data == wanted) return (wchar_t *)data;
  }
  return NULL;
}

/* The number that a text of 4 or 8 bytes is when its first byte counts most, so that numbers compare as texts do. */
static uint32_t number4(const uint8_t *bytes) {
  uint32_t number;
  __builtin_memcpy(&number, bytes, sizeof number); /* a load; memcpy() would be a call with -fno-builtin */
  return __builtin_bswap32(number);
}

static uint64_t number8(const uint8_t *bytes) {
  uint64_t number;
  __builtin_memcpy(&number, bytes, sizeof number);
  return __builtin_bswap64(number);
}

static int order(uint64_t left, uint64_t right) { return (left > right) - (left < right); }

/* Compare the bytes at `left` and `right`, which are fewer than LANES. The second word may overlap the first. */
static int compare_short(const uint8_t *left, const uint8_t *right, size_t length) {
  if (length >= 8) {
    int first = order(number8(left), number8(right));
    return first != 0 ? first : order(number8(left + length - 8), number8(right + length - 8));
  }
  if (length >= 4) {
    int first = order(number4(left), number4(right));
    return first != 0 ? first : order(number4(left + length - 4), number4(right + length - 4));
  }
  for (; length > 0; left++, right++, length--) {
    if (*left != *right) return *left - *right;
  }
  return 0;
}

int memcmp(const void *a, const void *b, size_t length) {
  const uint8_t *left = a, *right = b;
  for (; length >= LANES; left += LANES, right += LANES, length -= LANES) {
    uint32_t same = matches(wasm_v128_load(left), wasm_v128_load(right));
    if (same != UINT16_MAX) return left[first_of(~same)] - right[first_of(~same)];
  }
  return compare_short(left, right, length);
}

/* Only distinguishes equal from different. clang calls it for a memcmp() of which nothing else is asked. */
int bcmp(const void *left, const void *right, size_t length) { return memcmp(left, right, length); }
