/* wcsftime() as glibc has it in the C locale. musl's returns nothing at all where it meets a directive that it doesn't
 * know, which CPython takes for an empty text. strftime of time and datetime both end here.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#define TEXT_BYTES 64 /* the longest is %c of a year with ten digits and a sign, with 32 */

/* What stands between the % and the letter. */
struct directive {
  wchar_t pad; /* '_', '-' or '0', the last one that is written; else 0 */
  bool upper;  /* ^ */
  bool swap;   /* # */
  int width;
  wchar_t modifier; /* E or O, else 0 */
  wchar_t letter;   /* 0 at the end of the format */
};

/* The text of one directive before it is padded to its width. */
struct text {
  char bytes[TEXT_BYTES];
  size_t length;
  enum { AS_IT_IS, LOWER, UPPER } letters;
  bool known;
};

struct output {
  wchar_t *at;
  size_t length;
  size_t room;
};

static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};

static bool is_in(wchar_t letter, const char *set) {
  return letter > 0 && letter < 128 && strchr(set, (char)letter) != NULL;
}

static void append_bytes(struct text *text, const char *from, size_t length) {
  for (size_t i = 0; i < length && text->length < TEXT_BYTES; i++) text->bytes[text->length++] = from[i];
}

static void append_string(struct text *text, const char *from) { append_bytes(text, from, strlen(from)); }

/* Append a name, or its first three letters if `abbreviated`. */
static void append_name(struct text *text, const char *const *names, int number, int count, bool abbreviated) {
  const char *name = number >= 0 && number < count ? names[number] : "?";
  size_t length = strlen(name);
  append_bytes(text, name, abbreviated && length > 3 ? 3 : length);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A number, and the digits it has at least; `blank` if spaces stand for the missing ones unless a flag says otherwise.
 */
struct number {
  int64_t value;
  int digits;
  bool blank;
};

static int64_t floor_modulo(int64_t value, int64_t divisor) { return (value % divisor + divisor) % divisor; }

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* The days from the Monday of ISO week 1 to a day of the same year; less than 0 if it is in the last week of the year
 * before. */
static int64_t iso_week_days(int64_t year_day, int64_t week_day) {
  const int64_t big_enough = 3 * 7; /* so that no dividend is negative */
  int64_t first_week_start = (year_day - week_day + 4 + big_enough * 18) % 7;
  return year_day - first_week_start + 4 - 1;
}

/* An ISO week: the year that it belongs to, and its number. */
struct iso_week {
  int64_t year;
  int64_t number;
};

static struct iso_week iso_week_of(const struct tm *time) {
  int64_t year = time->tm_year + 1900LL;
  int64_t passed = iso_week_days(time->tm_yday, time->tm_wday);
  if (passed < 0) {
    year--;
    passed = iso_week_days(time->tm_yday + 365 + is_leap(year), time->tm_wday);
  } else {
    int64_t next = iso_week_days(time->tm_yday - (365 + is_leap(year)), time->tm_wday);
    if (next >= 0) {
      year++;
      passed = next;
    }
  }
  return (struct iso_week){year, passed / 7 + 1};
}

/* The number that a letter stands for. Returns whether it stands for one. */
static bool number_of(wchar_t letter, const struct tm *time, struct number *number) {
  int64_t year = time->tm_year + 1900LL;
  int hour = time->tm_hour, hour12 = hour == 0 ? 12 : hour > 12 ? hour - 12 : hour;
  switch (letter) {
    case 'C':
      *number = (struct number){year / 100 - (year % 100 < 0), 1, false};
      return true;
    case 'd':
      *number = (struct number){time->tm_mday, 2, false};
      return true;
    case 'e':
      *number = (struct number){time->tm_mday, 2, true};
      return true;
    case 'g':
      *number = (struct number){floor_modulo(iso_week_of(time).year, 100), 2, false};
      return true;
    case 'G':
      *number = (struct number){iso_week_of(time).year, 1, false};
      return true;
    case 'H':
      *number = (struct number){hour, 2, false};
      return true;
    case 'I':
      *number = (struct number){hour12, 2, false};
      return true;
    case 'j':
      *number = (struct number){time->tm_yday + 1, 3, false};
      return true;
    case 'k':
      *number = (struct number){hour, 2, true};
      return true;
    case 'l':
      *number = (struct number){hour12, 2, true};
      return true;
    case 'm':
      *number = (struct number){time->tm_mon + 1, 2, false};
      return true;
    case 'M':
      *number = (struct number){time->tm_min, 2, false};
      return true;
    case 'S':
      *number = (struct number){time->tm_sec, 2, false};
      return true;
    case 'u':
      *number = (struct number){(time->tm_wday + 6) % 7 + 1, 1, false};
      return true;
    case 'U':
      *number = (struct number){(time->tm_yday - time->tm_wday + 7) / 7, 2, false};
      return true;
    case 'V':
      *number = (struct number){iso_week_of(time).number, 2, false};
      return true;
    case 'w':
      *number = (struct number){time->tm_wday, 1, false};
      return true;
    case 'W':
      *number = (struct number){(time->tm_yday - (time->tm_wday + 6) % 7 + 7) / 7, 2, false};
      return true;
    case 'y':
      *number = (struct number){floor_modulo(year, 100), 2, false};
      return true;
    case 'Y':
      *number = (struct number){year, 1, false};
      return true;
    default:
      return false;
  }
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

/* Append a character. Returns whether there was room, also for the NUL behind it. */
static bool put(struct output *out, wchar_t character) {
  if (out->length + 1 >= out->room) return false;
  out->at[out->length++] = character;
  return true;
}

static bool put_many(struct output *out, wchar_t character, int64_t count) {
  for (; count > 0; count--) {
    if (!put(out, character)) return false;
  }
  return true;
}

static bool put_number(struct output *out, const struct directive *directive, const struct number *number) {
  char written[24];
  wchar_t pad = directive->pad == 0 && number->blank ? '_' : directive->pad;
  int length = snprintf(written, sizeof written, "%lld", (long long)number->value);
  int missing = (directive->width > number->digits ? directive->width : number->digits) - length;
  const char *at = written;
  if (pad == '_') {
    if (!put_many(out, ' ', missing)) return false;
  } else if (pad != '-') {
    if (missing > 0 && *at == '-' && !put(out, (wchar_t)*at++)) return false;
    if (!put_many(out, '0', missing)) return false;
  } else if (!put_many(out, ' ', directive->width - length)) {
    return false;
  }
  for (; *at; at++) {
    if (!put(out, (wchar_t)*at)) return false;
  }
  return true;
}

static wchar_t with_case(wchar_t character, const struct text *text) {
  if (text->letters == UPPER && character >= 'a' && character <= 'z') return character - 'a' + 'A';
  if (text->letters == LOWER && character >= 'A' && character <= 'Z') return character - 'A' + 'a';
  return character;
}

static bool put_text(struct output *out, const struct directive *directive, const struct text *text) {
  if (!put_many(out, directive->pad == '0' ? '0' : ' ', directive->width - (int64_t)text->length)) return false;
  for (size_t i = 0; i < text->length; i++) {
    if (!put(out, with_case((unsigned char)text->bytes[i], text))) return false;
  }
  return true;
}

/* ---- directives -------------------------------------------------------------------------------------------------- */

/* Append what a format without flags and widths gives. */
static void append_format(struct text *text, const char *format, const struct tm *time) {
  wchar_t wide[TEXT_BYTES], result[TEXT_BYTES];
  size_t length = 0;
  while ((wide[length] = (unsigned char)format[length])) length++;
  length = wcsftime(result, TEXT_BYTES, wide, time);
  for (size_t i = 0; i < length; i++) append_bytes(text, &(char){(char)result[i]}, 1);
}

/* Append the seconds since 1970. */
static void append_seconds(struct text *text, const struct tm *time) {
  struct tm copy = *time;
  char written[24];
  snprintf(written, sizeof written, "%lld", (long long)mktime(&copy));
  append_string(text, written);
}

/* The format that a letter abbreviates, or NULL. */
static const char *format_of(wchar_t letter) {
  switch (letter) {
    case 'c':
      return "%a %b %e %H:%M:%S %Y";
    case 'D':
    case 'x':
      return "%m/%d/%y";
    case 'F':
      return "%Y-%m-%d";
    case 'r':
      return "%I:%M:%S %p";
    case 'R':
      return "%H:%M";
    case 'T':
    case 'X':
      return "%H:%M:%S";
    default:
      return NULL;
  }
}

static struct text text_of(const struct directive *directive, const struct tm *time) {
  struct text text = {.known = true, .letters = directive->upper ? UPPER : AS_IT_IS};
  const char *format = format_of(directive->letter);
  bool lower_if_swapped = false;
  switch (directive->letter) {
    case 'a':
    case 'A':
      append_name(&text, days, time->tm_wday, 7, directive->letter == 'a');
      if (directive->swap) text.letters = UPPER;
      break;
    case 'b':
    case 'B':
    case 'h':
      append_name(&text, months, time->tm_mon, 12, directive->letter != 'B');
      if (directive->swap) text.letters = UPPER;
      break;
    case 'n':
      append_string(&text, "\n");
      break;
    case 'P':
      text.letters = LOWER;
      [[fallthrough]];
    case 'p':
      append_string(&text, time->tm_hour > 11 ? "PM" : "AM");
      lower_if_swapped = true;
      break;
    case 's': /* a number, but one that glibc pads as a text */
      append_seconds(&text, time);
      break;
    case 't':
      append_string(&text, "\t");
      break;
    case 'Z':
      append_string(&text, time->tm_zone != NULL && *time->tm_zone ? time->tm_zone : time->tm_isdst >= 0 ? "UTC" : "");
      lower_if_swapped = true;
      break;
    case '%':
      append_string(&text, "%");
      break;
    default:
      if (format != NULL) append_format(&text, format, time);
      text.known = format != NULL;
  }
  if (lower_if_swapped && directive->swap) text.letters = LOWER;
  return text;
}

static bool put_offset(struct output *out, const struct directive *directive, const struct tm *time) {
  if (time->tm_isdst < 0) return true;
  long minutes = (time->tm_gmtoff < 0 ? -time->tm_gmtoff : time->tm_gmtoff) / 60;
  if (!put_many(out, directive->pad == '0' ? '0' : ' ', directive->width - 1LL)) return false;
  struct number number = {minutes / 60 * 100 + minutes % 60, 4, false};
  return put(out, time->tm_gmtoff < 0 ? '-' : '+') && put_number(out, directive, &number);
}

/* Whether a directive has a meaning with its modifier: E asks for the era, O for other digits, of which the C locale
 * has none. */
static bool may_have(wchar_t modifier, wchar_t letter) {
  if (modifier == 0) return true;
  return is_in(letter, modifier == 'E' ? "cCnpPrRstTuxXyYzZ%" : "bBCdeghGHIjklmMnpPrRsStTuUVwWyzZ%");
}

/* Read a directive. Returns the end of it. */
static const wchar_t *read_directive(const wchar_t *format, struct directive *directive) {
  *directive = (struct directive){0};
  for (; is_in(*format, "_-0^#"); format++) {
    if (*format == '^') {
      directive->upper = true;
    } else if (*format == '#') {
      directive->swap = true;
    } else {
      directive->pad = *format;
    }
  }
  for (; is_in(*format, "0123456789"); format++) {
    int64_t width = directive->width * 10LL + (*format - '0');
    directive->width = width > INT32_MAX ? INT32_MAX : (int)width;
  }
  if (is_in(*format, "EO")) directive->modifier = *format++;
  directive->letter = *format;
  return directive->letter ? format + 1 : format;
}

static bool put_directive(struct output *out, const wchar_t *from, const wchar_t *to, const struct directive *directive,
                          const struct tm *time) {
  struct number number;
  if (may_have(directive->modifier, directive->letter)) {
    if (number_of(directive->letter, time, &number)) return put_number(out, directive, &number);
    if (directive->letter == 'z') return put_offset(out, directive, time);
    struct text text = text_of(directive, time);
    if (text.known) return put_text(out, directive, &text);
  }
  /* unknown: as it is written; glibc changes the letters of %#Eb before it refuses its modifier */
  bool upper = directive->upper || (directive->swap && is_in(directive->letter, "bh"));
  const struct text letters = {.letters = upper ? UPPER : AS_IT_IS};
  if (!put_many(out, directive->pad == '0' ? '0' : ' ', directive->width - (to - from))) return false;
  for (; from < to; from++) {
    if (!put(out, with_case(*from, &letters))) return false;
  }
  return true;
}

/* Write a date and time by a format. Returns the number of characters, or 0 if there was no room for them. */
size_t wcsftime(wchar_t *restrict to, size_t room, const wchar_t *restrict format, const struct tm *restrict time) {
  struct output out = {to, 0, room};
  while (*format) {
    if (*format != '%') {
      if (!put(&out, *format++)) return 0;
      continue;
    }
    struct directive directive;
    const wchar_t *end = read_directive(format + 1, &directive);
    if (!put_directive(&out, format, end, &directive, time)) return 0;
    format = end;
  }
  if (room == 0) return 0;
  to[out.length] = 0;
  return out.length;
}
