#include "compiled/text.h"

/* Text: questions about it, and parts of it. */

/* Strip whitespace. mode: 1 left, 2 right, 3 both. */
uint64_t KERNEL(k_strip)(text_t p, uint32_t n, int32_t mode) {
  uint32_t k;
  if (mode & 1)
    while (n > 0 && (k = space_at(p, n)) > 0) p += k, n -= k;
  if (mode & 2) {
    while (n > 0) {
      uint32_t back = 1;
      while (back < n && (p[n - back] & 0xC0) == 0x80) back++;
      if (space_at(p + n - back, back) != back) break;
      n -= back;
    }
  }
  return packed(p, n);
}

/* Return whether one of the characters of q begins at p, with its length. */
static inline bool is_one_of(text_t p, uint32_t length, text_t q, uint32_t m) {
  for (uint32_t i = 0; i < m; i += point_length(q[i])) {
    if (point_length(q[i]) == length && i + length <= m && memcmp(q + i, p, length) == 0) return true;
  }
  return false;
}

uint64_t KERNEL(k_strip_chars)(text_t p, uint32_t n, text_t q, uint32_t m, int32_t mode) {
  for (uint32_t k; mode & 1 && n > 0 && (k = point_length(p[0])) <= n && is_one_of(p, k, q, m);) p += k, n -= k;
  while (mode & 2 && n > 0) {
    uint32_t back = 1;
    while (back < n && (p[n - back] & 0xC0) == 0x80) back++;
    if (!is_one_of(p + n - back, back, q, m)) break;
    n -= back;
  }
  return packed(p, n);
}

int64_t KERNEL(k_len)(text_t p, uint32_t n) { return is_ascii(p, n) ? n : points(p, n); }

int64_t KERNEL(k_find)(text_t p, uint32_t n, text_t q, uint32_t m, int32_t last) {
  int64_t i = last ? find_last(p, n, q, m) : find(p, n, q, m);
  return i <= 0 ? i : points(p, (uint32_t)i);
}

int32_t KERNEL(k_contains)(text_t p, uint32_t n, text_t q, uint32_t m) { return find(p, n, q, m) >= 0; }
int32_t KERNEL(k_starts)(text_t p, uint32_t n, text_t q, uint32_t m) { return m <= n && equal(p, q, m); }
int32_t KERNEL(k_ends)(text_t p, uint32_t n, text_t q, uint32_t m) { return m <= n && equal(p + n - m, q, m); }
int32_t KERNEL(k_equal)(text_t p, uint32_t n, text_t q, uint32_t m) { return m == n && equal(p, q, m); }

int64_t KERNEL(k_count)(text_t p, uint32_t n, text_t q, uint32_t m) {
  if (m == 0) return points(p, n) + 1;
  int64_t count = 0, i;
  while ((i = find(p, n, q, m)) >= 0) {
    count++;
    p += i + m;
    n -= (uint32_t)i + m;
  }
  return count;
}

/* Cut a text to the bounds that methods of str take. Returns whether they are in order. */
static bool cut(text_t *p, uint32_t *n, int64_t start, int64_t stop, int64_t *skipped) {
  int64_t length = is_ascii(*p, *n) ? *n : points(*p, *n);
  if (stop > length) stop = length;
  if (stop < 0) stop = stop + length < 0 ? 0 : stop + length;
  if (start < 0) start = start + length < 0 ? 0 : start + length;
  if (start > stop) return false;
  uint32_t from = offset_of(*p, *n, start), size = offset_of(*p + from, *n - from, stop - start);
  *p += from;
  *n = size;
  *skipped = start;
  return true;
}

/* s.find(q, start, stop), or s.rfind */
int64_t KERNEL(k_find_in)(text_t p, uint32_t n, text_t q, uint32_t m, int32_t last, int64_t start, int64_t stop) {
  int64_t skipped;
  if (!cut(&p, &n, start, stop, &skipped)) return -1;
  int64_t i = k_find(p, n, q, m, last);
  return i < 0 ? i : i + skipped;
}

int64_t KERNEL(k_count_in)(text_t p, uint32_t n, text_t q, uint32_t m, int64_t start, int64_t stop) {
  int64_t skipped;
  return cut(&p, &n, start, stop, &skipped) ? k_count(p, n, q, m) : 0;
}

/* s.startswith(q, start, stop), or s.endswith */
int32_t KERNEL(k_starts_in)(text_t p, uint32_t n, text_t q, uint32_t m, int32_t end, int64_t start, int64_t stop) {
  int64_t skipped;
  if (!cut(&p, &n, start, stop, &skipped)) return 0;
  return end ? k_ends(p, n, q, m) : k_starts(p, n, q, m);
}

int32_t KERNEL(k_cmp)(text_t p, uint32_t n, text_t q, uint32_t m) {
  for (uint32_t i = 0; i < n && i < m; i++) {
    if (p[i] != q[i]) return p[i] < q[i] ? -1 : 1;
  }
  return n < m ? -1 : n > m;
}

uint64_t KERNEL(k_slice)(text_t p, uint32_t n, int64_t start, int64_t stop) {
  int ascii = is_ascii(p, n);
  int64_t length = ascii ? n : points(p, n);
  if (start < 0) start = start + length < 0 ? 0 : start + length;
  if (stop < 0) stop = stop + length < 0 ? 0 : stop + length;
  if (start > length) start = length;
  if (stop > length) stop = length;
  if (stop < start) stop = start;
  if (ascii) return packed(p + start, (uint32_t)(stop - start));
  uint32_t from = offset_of(p, n, start);
  return packed(p + from, offset_of(p + from, n - from, stop - start));
}

uint64_t KERNEL(k_index)(text_t p, uint32_t n, int64_t i) {
  int ascii = is_ascii(p, n);
  int64_t length = ascii ? n : points(p, n);
  if (i < 0) i += length;
  if (i < 0 || i >= length) return KERNEL_INDEX_ERROR;
  if (ascii) return packed(p + i, 1);
  uint32_t from = offset_of(p, n, i);
  return packed(p + from, point_length(p[from]));
}

/* Ask CPython, whose tables are those of all of Unicode. */
static int32_t ask(text_t p, uint32_t n, int32_t what) {
  static const char *const methods[] = {"isdigit", "isalpha",   "isalnum",   "isspace",      "isupper",     "islower",
                                        "isascii", "isdecimal", "isnumeric", "isidentifier", "isprintable", "istitle"};
  if ((uint32_t)what > 11) return 2;
  PyObject *text = text_object(p, n), *answer = text == NULL ? NULL : PyObject_CallMethod(text, methods[what], NULL);
  Py_XDECREF(text);
  if (answer == NULL) PyErr_Clear();
  int32_t result = answer == NULL ? 2 : answer == Py_True;
  Py_XDECREF(answer);
  return result;
}

/* Ask a question of every character: 0 isdigit, 1 isalpha, 2 isalnum, 3 isspace, 4 isupper, 5 islower, 6 isascii,
 * 7 isdecimal, 8 isnumeric. Of the text: 9 isidentifier, 10 isprintable, 11 istitle. 2: for the interpreter. */
int32_t KERNEL(k_is)(text_t p, uint32_t n, int32_t what) {
  if (what == 6) return is_ascii(p, n);
  if (what > 8 || !is_ascii(p, n)) return ask(p, n, what);
  if (what > 6) what = 0;
  if (n == 0) return 0;
  int cased = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t c = p[i];
    int digit = (uint8_t)(c - '0') < 10, lower = (uint8_t)(c - 'a') < 26, upper = (uint8_t)(c - 'A') < 26;
    switch (what) {
      case 0:
        if (!digit) return 0;
        break;
      case 1:
        if (!lower && !upper) return 0;
        break;
      case 2:
        if (!digit && !lower && !upper) return 0;
        break;
      case 3:
        if (space_at(p + i, 1) == 0) return 0;
        break;
      case 4:
        if (lower) return 0;
        cased |= upper;
        break;
      default:
        if (upper) return 0;
        cased |= lower;
        break;
    }
  }
  return what < 4 || cased;
}

static inline uint32_t hash(text_t p, uint32_t n) {
  uint32_t h = n * 0x9E3779B1u;
  for (uint32_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x01000193u;
  return h ^ h >> 15;
}

/* Return the number of a key, -1 if there is none such. A table in the constants is a mask, then an entry (hash, offset
 * of the key, its length, its number + 1) for each slot. */
int32_t KERNEL(k_dict)(struct compiled_context *context, uint32_t table, text_t p, uint32_t n) {
  const uint32_t *at = (const uint32_t *)(context->constants + table);
  uint32_t mask = at[0], h = hash(p, n);
  for (uint32_t i = h & mask;; i = (i + 1) & mask) {
    const uint32_t *entry = at + 1 + i * 4;
    if (entry[3] == 0) return -1;
    if (entry[0] == h && entry[2] == n && equal(context->constants + entry[1], p, n)) return (int32_t)entry[3] - 1;
  }
}

/* Write a row's result. 0: there is no room. */
int32_t KERNEL(k_out)(struct compiled_context *context, int32_t row, text_t p, uint32_t n) {
  uint32_t at = context->data_at;
  if ((uint64_t)at + n > context->data_end) return 0;
  copy(context->data + at, p, n);
  context->data_at = at + n;
  context->offsets[row + 1] = (int32_t)(at + n);
  return 1;
}

/* Return the code point of a text of one. -1 for any other text. */
int64_t KERNEL(k_ord)(text_t p, uint32_t n) {
  if (n == 0 || n != point_length(p[0])) return -1;
  if (n == 1) return p[0];
  int64_t point = p[0] & (0x7F >> n);
  for (uint32_t i = 1; i < n; i++) point = point << 6 | (p[i] & 0x3F);
  return point;
}
