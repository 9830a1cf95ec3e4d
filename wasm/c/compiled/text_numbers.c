#define Py_BUILD_CORE 1 /* for the conversions that CPython keeps to itself */
#include "compiled/text.h"
#include "pycore_dtoa.h"

/* Text: numbers in it, and numbers as text. */

/* Whitespace around a number in ASCII text: fewer characters than str.isspace has. */
static inline bool is_space(uint8_t c) { return c == ' ' || (c >= 9 && c <= 13); }

/* int(s) */
int64_t KERNEL(k_int)(struct compiled_context *context, text_t p, uint32_t n) {
  if (!is_ascii(p, n)) {
    context->error = KERNEL_BAIL;
    return 0;
  }
  while (n > 0 && is_space(p[0])) p++, n--;
  while (n > 0 && is_space(p[n - 1])) n--;
  int negative = 0;
  if (n > 0 && (p[0] == '-' || p[0] == '+')) negative = p[0] == '-', p++, n--;
  if (n == 0) {
    context->error = KERNEL_VALUE_ERROR;
    return 0;
  }
  int64_t value = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint8_t digit = (uint8_t)(p[i] - '0');
    if (digit > 9) {
      if (p[i] == '_' && i > 0 && i + 1 < n && p[i - 1] != '_') continue;
      context->error = KERNEL_VALUE_ERROR;
      return 0;
    }
    if (i >= 18) {
      context->error = KERNEL_BAIL;
      return 0;
    }
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

static inline uint32_t digit_of(uint8_t c) {
  uint8_t letter = c | 0x20;
  return (uint8_t)(c - '0') < 10        ? (uint32_t)(c - '0')
         : (uint8_t)(letter - 'a') < 26 ? (uint32_t)(letter - 'a') + 10
                                        : 99;
}

/* int(s, base) */
int64_t KERNEL(k_int_base)(struct compiled_context *context, text_t p, uint32_t n, int64_t base) {
  context->error = KERNEL_BAIL;
  if (!is_ascii(p, n)) return 0;
  context->error = KERNEL_VALUE_ERROR;
  if (base != 0 && (base < 2 || base > 36)) return 0;
  while (n > 0 && is_space(p[0])) p++, n--;
  while (n > 0 && is_space(p[n - 1])) n--;
  int negative = 0;
  if (n > 0 && (p[0] == '-' || p[0] == '+')) negative = p[0] == '-', p++, n--;
  uint8_t letter = n > 1 && p[0] == '0' ? p[1] | 0x20 : 0;
  int64_t named = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (named != 0 && (base == 0 || base == named)) {
    base = named;
    p += 2, n -= 2;
  } else if (base == 0) {
    context->error = KERNEL_BAIL; /* zeros before it matter */
    if (n > 0 && p[0] == '0') return 0;
    context->error = KERNEL_VALUE_ERROR;
    base = 10;
  }
  if (n == 0) return 0;
  uint64_t value = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t digit = digit_of(p[i]);
    if (p[i] == '_' || value >> 56 != 0) context->error = KERNEL_BAIL;
    if (digit >= (uint32_t)base || value >> 56 != 0) return 0;
    value = value * (uint64_t)base + digit;
  }
  context->error = value >> 63 ? KERNEL_BAIL : 0;
  return negative ? -(int64_t)value : (int64_t)value;
}

/* float(s) */
double KERNEL(k_float)(struct compiled_context *context, text_t p, uint32_t n) {
  char text[64];
  if (n >= sizeof text || !is_ascii(p, n)) {
    context->error = KERNEL_BAIL;
    return 0;
  }
  while (n > 0 && is_space(p[0])) p++, n--;
  while (n > 0 && is_space(p[n - 1])) n--;
  int digits = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (p[i] == '_') {
      context->error = KERNEL_BAIL;
      return 0;
    }
    if (p[i] == 0) {
      context->error = KERNEL_VALUE_ERROR;
      return 0;
    }
    digits += (uint8_t)(p[i] - '0') <= 9;
  }
  if (digits == 0) {
    context->error = n > 0 ? KERNEL_BAIL : KERNEL_VALUE_ERROR;
    return 0;
  } /* inf and nan */
  memcpy(text, p, n);
  text[n] = 0;
  char *end;
  double value = _Py_dg_strtod(text, &end);
  if (end != text + n) {
    context->error = KERNEL_VALUE_ERROR;
    return 0;
  }
  return value;
}

/* Write a float: repr(x) for the format 'r', else '%.*f' and the like. */
uint64_t KERNEL(k_frepr)(struct compiled_context *context, double value, int32_t format, int32_t precision) {
  char *text = PyOS_double_to_string(value, (char)format, precision, format == 'r' ? Py_DTSF_ADD_DOT_0 : 0, NULL);
  if (text == NULL) {
    PyErr_Clear();
    return KERNEL_BAIL;
  }
  uint32_t n = (uint32_t)strlen(text);
  uint8_t *to = take(context, n);
  if (to != NULL) memcpy(to, text, n);
  PyMem_Free(text);
  return to == NULL ? KERNEL_BAIL : packed(to, n);
}

/* Format a value by CPython itself. Takes over the reference. */
static uint64_t format_object(struct compiled_context *context, PyObject *value, text_t spec, uint32_t n) {
  PyObject *format = text_object(spec, n);
  PyObject *text = value == NULL || format == NULL ? NULL : PyObject_Format(value, format);
  Py_XDECREF(value);
  Py_XDECREF(format);
  return text_from_object(context, text);
}

uint64_t KERNEL(k_format_int)(struct compiled_context *context, int64_t value, text_t spec, uint32_t n) {
  return format_object(context, PyLong_FromLongLong(value), spec, n);
}

uint64_t KERNEL(k_format_float)(struct compiled_context *context, double value, text_t spec, uint32_t n) {
  return format_object(context, PyFloat_FromDouble(value), spec, n);
}

uint64_t KERNEL(k_format_text)(struct compiled_context *context, text_t p, uint32_t n, text_t spec, uint32_t m) {
  return format_object(context, text_object(p, n), spec, m);
}

/* repr(s) */
uint64_t KERNEL(k_repr)(struct compiled_context *context, text_t p, uint32_t n) {
  PyObject *text = text_object(p, n), *shown = text == NULL ? NULL : PyObject_Repr(text);
  Py_XDECREF(text);
  return text_from_object(context, shown);
}
