#include "compiled/text.h"

/* Text: new text of old. */

uint64_t text_from_object(struct compiled_context *context, PyObject *text) {
  Py_ssize_t n = 0;
  const char *bytes = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &n);
  uint8_t *to = bytes == NULL ? NULL : take(context, (uint32_t)n);
  if (to != NULL) memcpy(to, bytes, (size_t)n);
  if (bytes == NULL) PyErr_Clear(); /* the interpreter raises it again, if it is not out of memory */
  Py_XDECREF(text);
  return to == NULL ? KERNEL_BAIL : packed(to, (uint32_t)n);
}

/* Call a method of str without arguments: for text that isn't ASCII, whose tables are CPython's. */
static uint64_t call_method(struct compiled_context *context, text_t p, uint32_t n, const char *name) {
  PyObject *text = text_object(p, n), *result = text == NULL ? NULL : PyObject_CallMethod(text, name, NULL);
  Py_XDECREF(text);
  return text_from_object(context, result);
}

/* Lower and upper case of 8 ASCII bytes at once. */
static inline uint64_t flip(uint64_t word, uint8_t first) {
  uint64_t ones = UINT64_C(0x0101010101010101), above = word + ones * (uint8_t)(0x80 - first);
  uint64_t beyond = word + ones * (uint8_t)(0x80 - first - 26);
  return word ^ ((above & ~beyond & ones * 0x80) >> 2);
}

static inline uint64_t change_case(struct compiled_context *context, text_t p, uint32_t n, uint8_t first,
                                   const char *method) {
  uint8_t *to = take(context, n);
  if (to == NULL) return KERNEL_BAIL;
  uint64_t all = 0, word = 0;
  uint32_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, p + i, 8);
    all |= word;
    word = flip(word, first);
    memcpy(to + i, &word, 8);
  }
  for (; i < n; i++) {
    uint8_t c = p[i];
    all |= c;
    to[i] = (uint8_t)(c - first) < 26 ? c ^ 0x20 : c;
  }
  return (all & UINT64_C(0x8080808080808080)) ? call_method(context, p, n, method) : packed(to, n);
}

uint64_t KERNEL(k_upper)(struct compiled_context *context, text_t p, uint32_t n) {
  return change_case(context, p, n, 'a', "upper");
}
uint64_t KERNEL(k_lower)(struct compiled_context *context, text_t p, uint32_t n) {
  return change_case(context, p, n, 'A', "lower");
}
/* casefold differs from lower beyond ASCII. */
uint64_t KERNEL(k_casefold)(struct compiled_context *context, text_t p, uint32_t n) {
  return change_case(context, p, n, 'A', "casefold");
}

/* Change the case of ASCII text. mode 0: title, 1: capitalize, 2: swapcase. */
uint64_t KERNEL(k_recase)(struct compiled_context *context, text_t p, uint32_t n, int32_t mode) {
  static const char *const methods[] = {"title", "capitalize", "swapcase"};
  if (!is_ascii(p, n)) return (uint32_t)mode > 2 ? KERNEL_BAIL : call_method(context, p, n, methods[mode]);
  uint8_t *to = take(context, n);
  if (to == NULL) return KERNEL_BAIL;
  int upper = 1;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t c = p[i];
    int letter = (uint8_t)((c | 0x20) - 'a') < 26;
    if (mode == 2) {
      to[i] = letter ? c ^ 0x20 : c;
    } else {
      to[i] = letter ? (upper ? c & ~0x20 : c | 0x20) : c;
      upper = mode == 0 && !letter;
    }
  }
  return packed(to, n);
}

/* s.replace("", r, most): before each character, and at the end. */
static uint64_t insert_between(struct compiled_context *context, text_t p, uint32_t n, text_t r, uint32_t k,
                               int64_t most) {
  int64_t count = points(p, n) + 1;
  if (most >= 0 && count > most) count = most;
  uint64_t total = n + (uint64_t)count * k;
  uint8_t *to = total > MAX_TEXT ? NULL : take(context, (uint32_t)total), *at = to;
  if (to == NULL) return KERNEL_BAIL;
  for (uint32_t i = 0; count > 0; count--) {
    copy(at, r, k);
    at += k;
    uint32_t length = i < n ? point_length(p[i]) : 0;
    if (length > n - i) return KERNEL_BAIL;
    copy(at, p + i, length);
    at += length;
    i += length;
    if (count == 1) copy(at, p + i, n - i);
  }
  return packed(to, (uint32_t)total);
}

/* s.replace(q, r, most). most < 0: no bound. */
uint64_t KERNEL(k_replace)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m, text_t r,
                           uint32_t k, int64_t most) {
  if (most == 0) return packed(p, n);
  if (m == 0) return insert_between(context, p, n, r, k, most);
  int64_t i = find(p, n, q, m);
  if (i < 0) return packed(p, n);
  uint64_t room = k <= m ? n : (uint64_t)n + (uint64_t)(n / m) * (k - m);
  uint8_t *to = room > MAX_TEXT ? NULL : take(context, (uint32_t)room);
  if (to == NULL) return KERNEL_BAIL;
  uint8_t *at = to;
  while (i >= 0 && most-- != 0) {
    copy(at, p, (uint32_t)i);
    at += i;
    copy(at, r, k);
    at += k;
    p += i + m;
    n -= (uint32_t)i + m;
    i = find(p, n, q, m);
  }
  copy(at, p, n);
  return packed(to, (uint32_t)(at - to) + n);
}

/* s.translate(table). The table, among the constants: a number of entries for others, then where the text for each
 * ASCII character is and its length, or UINT32_MAX and anything where it stays; then (code point, place, length) for
 * others, in order. */
uint64_t KERNEL(k_translate)(struct compiled_context *context, uint32_t table, text_t p, uint32_t n) {
  const uint32_t *words = (const uint32_t *)(context->constants + table), *others = words + 1 + 2 * 128;
  uint32_t room = context->arena_end - context->arena_at, made = 0;
  if (room < 64) return KERNEL_BAIL;
  room -= 32;
  uint8_t *to = (uint8_t *)context->arena_at;
  for (uint32_t i = 0; i < n;) {
    uint32_t length = point_length(p[i]), at = UINT32_MAX, size = 0;
    if (length > n - i) return KERNEL_BAIL;
    if (length == 1) {
      at = words[1 + 2 * p[i]];
      size = words[2 + 2 * p[i]];
    } else {
      uint32_t point = p[i] & (0x7Fu >> length), low = 0, high = words[0];
      for (uint32_t k = 1; k < length; k++) point = point << 6 | (p[i + k] & 0x3F);
      while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (others[3 * middle] < point) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      if (low < words[0] && others[3 * low] == point) at = others[3 * low + 1], size = others[3 * low + 2];
    }
    text_t from = at == UINT32_MAX ? p + i : context->constants + at;
    if (at == UINT32_MAX) size = length;
    if (size > room - made || made + size > MAX_TEXT) return KERNEL_BAIL;
    memcpy(to + made, from, size);
    made += size;
    i += length;
  }
  context->arena_at = ((uint32_t)to + made + 15) & ~7u;
  return packed(to, made);
}

/* s.expandtabs(size) */
uint64_t KERNEL(k_expandtabs)(struct compiled_context *context, text_t p, uint32_t n, int64_t tab) {
  uint64_t total = 0, column = 0;
  if (tab > MAX_TEXT) return KERNEL_BAIL;
  for (int pass = 0; pass < 2; pass++) {
    uint8_t *to = pass == 0 ? NULL : take(context, (uint32_t)total);
    if (pass == 1 && to == NULL) return KERNEL_BAIL;
    uint64_t made = 0;
    column = 0;
    for (uint32_t i = 0; i < n; i++) {
      if (p[i] == '\t') {
        uint64_t spaces = tab > 0 ? (uint64_t)tab - column % (uint64_t)tab : 0;
        if (pass == 1) memset(to + made, ' ', (size_t)spaces);
        made += spaces;
        column += spaces;
        if (made > MAX_TEXT) return KERNEL_BAIL;
        continue;
      }
      if (pass == 1) to[made] = p[i];
      made++;
      column = p[i] == '\n' || p[i] == '\r' ? 0 : column + ((p[i] & 0xC0) != 0x80);
    }
    if (pass == 1) return packed(to, (uint32_t)made);
    total = made;
    if (total > MAX_TEXT) return KERNEL_BAIL;
  }
  return KERNEL_BAIL;
}

uint64_t KERNEL(k_concat)(struct compiled_context *context, text_t p, uint32_t n, text_t q, uint32_t m) {
  if ((uint64_t)n + m > MAX_TEXT) return KERNEL_BAIL;
  uint8_t *to = take(context, n + m);
  if (to == NULL) return KERNEL_BAIL;
  copy(to, p, n);
  copy(to + n, q, m);
  return packed(to, n + m);
}

uint64_t KERNEL(k_repeat)(struct compiled_context *context, text_t p, uint32_t n, int64_t times) {
  if (times <= 0 || n == 0) return packed(context->constants, 0);
  if (times > MAX_TEXT || n * times > MAX_TEXT) return KERNEL_BAIL;
  uint8_t *to = take(context, n * (uint32_t)times), *at = to;
  if (to == NULL) return KERNEL_BAIL;
  for (; times > 0; times--, at += n) copy(at, p, n);
  return packed(to, (uint32_t)(at - to));
}

uint64_t KERNEL(k_join)(struct compiled_context *context, text_t q, uint32_t m, const uint64_t *list, uint32_t count) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < count; i++) total += (uint32_t)list[i] + m;
  if (total > MAX_TEXT) return KERNEL_BAIL;
  uint8_t *to = take(context, (uint32_t)total), *at = to;
  if (to == NULL) return KERNEL_BAIL;
  for (uint32_t i = 0; i < count; i++) {
    if (i > 0) copy(at, q, m), at += m;
    copy(at, (text_t)(uint32_t)(list[i] >> 32), (uint32_t)list[i]);
    at += (uint32_t)list[i];
  }
  return packed(to, (uint32_t)(at - to));
}

/* The decimal digits of an integer, with zeros or spaces before it up to `width`. */
uint64_t KERNEL(k_itoa)(struct compiled_context *context, int64_t value, int32_t width, int32_t zeros) {
  char text[24], *end = text + sizeof text, *at = end;
  uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
  do *--at = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (!zeros && value < 0) *--at = '-';
  uint32_t n = (uint32_t)(end - at), sign = zeros && value < 0, all = n + sign;
  uint32_t total = width > 0 && (uint32_t)width > all ? (uint32_t)width : all;
  uint8_t *to = take(context, total);
  if (to == NULL) return KERNEL_BAIL;
  uint8_t *p = to;
  if (sign) *p++ = '-';
  while (p < to + total - n) *p++ = zeros ? '0' : ' ';
  memcpy(p, at, n);
  return packed(to, total);
}

/* mode 0 ljust, 1 rjust, 2 center, 3 zfill */
uint64_t KERNEL(k_just)(struct compiled_context *context, text_t p, uint32_t n, int64_t width, int32_t fill,
                        int32_t mode) {
  int64_t length = is_ascii(p, n) ? n : points(p, n), more = width - length;
  if (more <= 0) return packed(p, n);
  if (more > 1 << 16) return KERNEL_BAIL;
  uint8_t *to = take(context, n + (uint32_t)more);
  if (to == NULL) return KERNEL_BAIL;
  uint32_t left = mode == 0 ? 0 : mode == 2 ? (uint32_t)(more / 2 + (more & width & 1)) : (uint32_t)more, skip = 0;
  if (mode == 3 && n > 0 && (p[0] == '-' || p[0] == '+')) to[0] = p[0], skip = 1;
  memset(to + skip, fill, left);
  copy(to + left + skip, p + skip, n - skip);
  memset(to + left + n, fill, (size_t)more - left);
  return packed(to, n + (uint32_t)more);
}

/* Reverse the code points. */
uint64_t KERNEL(k_reverse)(struct compiled_context *context, text_t p, uint32_t n) {
  uint8_t *to = take(context, n), *at = to + n;
  if (to == NULL) return KERNEL_BAIL;
  for (uint32_t i = 0; i < n;) {
    uint32_t length = point_length(p[i]);
    if (length > n - i) return KERNEL_BAIL;
    at -= length;
    memcpy(at, p + i, length);
    i += length;
  }
  return packed(to, n);
}

uint64_t KERNEL(k_chr)(struct compiled_context *context, int64_t point) {
  if (point < 0 || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return KERNEL_BAIL;
  uint8_t *to = take(context, 4);
  if (to == NULL) return KERNEL_BAIL;
  uint32_t c = (uint32_t)point;
  if (c < 0x80) {
    to[0] = (uint8_t)c;
    return packed(to, 1);
  }
  uint32_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  static const uint8_t first[] = {0, 0, 0xC0, 0xE0, 0xF0};
  for (uint32_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (uint8_t)(0x80 | (c & 0x3F));
  to[0] = (uint8_t)(first[n] | c);
  return packed(to, n);
}
