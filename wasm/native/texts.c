/* Texts: DuckDB's into linear memory, and a guest's into DuckDB's vectors, with every byte of them checked.
 *
 * Most of the time of a batch of texts is here, so there is one pass for each purpose, without calls or early returns,
 * so that the compiler makes vector instructions of it.
 */
#include <string.h>

#include "api.h"
#include "columns.h"

/* ---- UTF-8 ------------------------------------------------------------------------------------------------------- */

/* Bytes that are looked at together. GCC and clang make instructions of it for every processor. */
typedef uint8_t vector_of_bytes __attribute__((vector_size(16)));
typedef int8_t vector_of_signed __attribute__((vector_size(16)));
#define WIDTH sizeof(vector_of_bytes)
#define BLOCK (4 * WIDTH)

/* Return whether a vector has a byte that isn't ASCII; likewise whether it is all zeros if that is known of each byte.
 */
static bool has_high_bit(vector_of_bytes bytes) {
  uint64_t halves[2];
  memcpy(halves, &bytes, sizeof halves);
  return ((halves[0] | halves[1]) & UINT64_C(0x8080808080808080)) != 0;
}

/* Return whether bytes are ASCII. */
static bool is_ascii(const uint8_t *at, uint64_t size) {
  vector_of_bytes all = {0};
  for (; size >= BLOCK; at += BLOCK, size -= BLOCK) {
    for (int i = 0; i < 4; i++) all |= LOAD(vector_of_bytes, at, i);
    if (has_high_bit(all)) return false;
  }
  uint8_t rest = 0;
  for (uint64_t i = 0; i < size; i++) rest |= at[i];
  return rest < 0x80;
}

/* Return which of 16 bytes don't continue the UTF-8 of the three before them: the Unicode standard, table 3-7. A byte
 * behind a character that lacks some is wrong, so at the end of a text there has to be one more. */
static vector_of_signed wrong_bytes(const uint8_t *at) {
  vector_of_bytes byte = LOAD(vector_of_bytes, at, 0), before = LOAD(vector_of_bytes, at - 1, 0);
  vector_of_bytes second = LOAD(vector_of_bytes, at - 2, 0), third = LOAD(vector_of_bytes, at - 3, 0);
  vector_of_signed number = (vector_of_signed)byte; /* 0x80 to 0xBF, which continue a character, are the least */
  vector_of_signed has_to = (before >= 0xC0) | (second >= 0xE0) | (third >= 0xF0);
  vector_of_signed below_90 = number < -0x70, below_a0 = number < -0x60;
  return ((number < -0x40) ^ has_to) | (byte >= 0xF5) | ((byte & 0xFE) == 0xC0) | /* no character begins so */
         ((before == 0xE0) & below_a0) | ((before == 0xF0) & below_90) |          /* longer than it has to be */
         ((before == 0xED) & ~below_a0) | ((before == 0xF4) & ~below_90);         /* a surrogate, above U+10FFFF */
}

/* Return whether bytes are UTF-8. */
bool is_utf8(const uint8_t *at, uint64_t size) {
  uint8_t end[3 + WIDTH] = {0}; /* of the bytes, or all of them; nothing is before them, and a zero behind them */
  uint64_t i = 0;
  vector_of_signed wrong = {0};
  if (size >= WIDTH) {
    memcpy(end + 3, at, WIDTH);
    wrong = wrong_bytes(end + 3);
    for (i = WIDTH; size - i >= BLOCK; i += BLOCK) {
      if (is_ascii(at + i - 3, BLOCK + 3)) continue;
      for (int j = 0; j < 4; j++) wrong |= wrong_bytes(at + i + WIDTH * j);
    }
    for (; size - i >= WIDTH; i += WIDTH) wrong |= wrong_bytes(at + i);
    memset(end, 0, sizeof end);
    memcpy(end, at + i - 3, 3);
  }
  memcpy(end + 3, at + i, size - i);
  wrong |= wrong_bytes(end + 3);
  return !has_high_bit((vector_of_bytes)wrong);
}

/* ---- DuckDB's ---------------------------------------------------------------------------------------------------- */

/* Return the bytes of a column's texts. */
uint64_t texts_bytes(const union string *strings, const uint64_t *validity, uint64_t rows) {
  uint64_t bytes = 0;
  if (validity == NULL) {
    for (uint64_t row = 0; row < rows; row++) bytes += strings[row].short_one.length;
    return bytes;
  }
  for (uint64_t row = 0; row < rows; row++) {
    bytes += is_valid(validity, row) ? strings[row].short_one.length : 0; /* a row that is NULL may have any length */
  }
  return bytes;
}

/* Write texts as Arrow has them: offsets, and `size` bytes. */
void texts_write(const struct column *column, uint64_t rows, uint8_t *offsets_at, uint8_t *bytes) {
  const union string *strings = column->data;
  int32_t *offsets = (int32_t *)offsets_at;
  uint64_t at = 0;
  for (uint64_t row = 0; row < rows; row++) {
    offsets[row] = (int32_t)at;
    if (!is_valid(column->validity, row)) continue;
    uint64_t length = strings[row].short_one.length;
    uint8_t *to = bytes + at;
    const char *from = length <= MOST_INLINED ? strings[row].short_one.bytes : strings[row].long_one.pointer;
    if (length <= MOST_INLINED && column->bytes - at >= MOST_INLINED) { /* later texts write over what is behind it */
      memcpy(to, from, MOST_INLINED);
    } else if (length >= 16 && length <= 32) { /* two parts that overlap */
      memcpy(to, from, 16);
      memcpy(to + length - 16, from + length - 16, 16);
    } else if (length > MOST_INLINED && length < 16) {
      memcpy(to, from, 8);
      memcpy(to + length - 8, from + length - 8, 8);
    } else {
      memcpy(to, from, length);
    }
    at += length;
  }
  offsets[rows] = (int32_t)at;
}

/* ---- a guest's --------------------------------------------------------------------------------------------------- */

/* Check offsets, which are in order and end inside the bytes, and what lies between them. */
bool texts_are_good(const struct values *values, uint64_t rows, bool utf8, bool *has_long) {
  const uint8_t *bytes = values->data;
  int32_t end = LOAD(int32_t, values->offsets, rows);
  uint32_t wrong = LOAD(uint32_t, values->offsets, 0), longest = 0;
  if (wrong != 0) return false;
  for (uint64_t row = 0; row < rows; row++) {
    uint32_t begin = LOAD(uint32_t, values->offsets, row), stop = LOAD(uint32_t, values->offsets, row + 1);
    wrong |= stop | (stop - begin); /* the highest bit says that one is negative; there is no overflow before that */
    longest |= (stop - begin) > MOST_INLINED;
  }
  *has_long = longest != 0;
  if (wrong >> 31) return false;
  if (!utf8 || is_ascii(bytes, (uint64_t)end)) return true;
  for (uint64_t row = 1; row < rows; row++) {
    int32_t offset = LOAD(int32_t, values->offsets, row);
    if (offset < end && (bytes[offset] & 0xC0) == 0x80) return false; /* amid a character */
  }
  return is_utf8(bytes, (uint64_t)end);
}

/* What of the bytes behind the length belongs to a text, by its length: four, and the eight behind them. */
static const uint64_t MASKS[MOST_INLINED + 1][2] = {
    {0, 0},
    {0xFF, 0},
    {0xFFFF, 0},
    {0xFFFFFF, 0},
    {0xFFFFFFFF, 0},
    {0xFFFFFFFF, 0xFF},
    {0xFFFFFFFF, 0xFFFF},
    {0xFFFFFFFF, 0xFFFFFF},
    {0xFFFFFFFF, 0xFFFFFFFF},
    {0xFFFFFFFF, UINT64_C(0xFFFFFFFFFF)},
    {0xFFFFFFFF, UINT64_C(0xFFFFFFFFFFFF)},
    {0xFFFFFFFF, UINT64_C(0xFFFFFFFFFFFFFF)},
    {0xFFFFFFFF, UINT64_MAX},
};

/* Put a text into a vector: what DuckDB has of it are 16 bytes, its length first. `bytes` are twelve at least; `kept`
 * is where all of it is if it is long. */
static inline void put_text(union string *string, const uint8_t *bytes, uint32_t length, uint64_t kept) {
  const uint64_t *mask = MASKS[length < MOST_INLINED ? length : MOST_INLINED];
  uint64_t low = LOAD(uint64_t, bytes, 0), high = LOAD(uint32_t, bytes, 2);
  uint64_t words[2] = {length | (low & mask[0]) << 32, ((low >> 32) | high << 32) & mask[1]};
  words[1] = length <= MOST_INLINED ? words[1] : kept;
  memcpy(string, words, sizeof words);
}

/* Put texts into a vector; false if they aren't what the type says. */
bool texts_put(const struct type *type, uint64_t rows, const struct values *values, void *vector) {
  bool has_long;
  if (!texts_are_good(values, rows, type->id == VARCHAR, &has_long)) return false;
  const uint8_t *bytes = values->data;
  union string *strings = D.duckdb_vector_get_data(vector);
  uint32_t begin = 0, total = LOAD(uint32_t, values->offsets, rows);
  uint64_t kept = 0;
  if (has_long) { /* all bytes at once, as if they were the first row's: one by one takes ten times as long */
    D.duckdb_unsafe_vector_assign_string_element_len(vector, 0, (const char *)bytes, total);
    kept = (uint64_t)(uintptr_t)strings[0].long_one.pointer;
  }
  for (uint64_t row = 0; row < rows; row++) {
    uint32_t stop = LOAD(uint32_t, values->offsets, row + 1);
    if (total - begin >= MOST_INLINED) {
      put_text(&strings[row], bytes + begin, stop - begin, kept + begin);
    } else { /* the last bytes, behind which there may be no memory */
      uint8_t last[MOST_INLINED] = {0};
      memcpy(last, bytes + begin, stop - begin);
      put_text(&strings[row], last, stop - begin, 0);
    }
    begin = stop;
  }
  return true;
}
