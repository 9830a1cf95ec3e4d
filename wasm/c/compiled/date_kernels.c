#include "codec/calendar.h"
#include "compiled/text.h"

/* Dates as days from 1970-01-01, and datetimes as microseconds from there. */

/* Return year << 16 | month << 8 | day. */
int64_t KERNEL(k_civil)(int64_t days) {
  int year, month, day;
  civil_from_days(days, &year, &month, &day);
  return (int64_t)year << 16 | month << 8 | day;
}

/* Return the day of a date, INT64_MIN where there is none such. */
int64_t KERNEL(k_days)(int64_t year, int64_t month, int64_t day) {
  static const uint8_t length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1) return INT64_MIN;
  int leap = month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (day > length[month - 1] + leap) return INT64_MIN;
  return days_from_civil((int)year, (int)month, (int)day);
}

/* date.isoformat() */
uint64_t KERNEL(k_isodate)(struct compiled_context *context, int64_t days) {
  int year, month, day;
  civil_from_days(days, &year, &month, &day);
  uint8_t *to = take(context, 10);
  if (to == NULL) return KERNEL_BAIL;
  int parts[] = {year / 1000, year / 100 % 10, year / 10 % 10, year % 10, -1, month / 10, month % 10,
                 -1,          day / 10,        day % 10};
  for (int i = 0; i < 10; i++) to[i] = parts[i] < 0 ? '-' : (uint8_t)('0' + parts[i]);
  return packed(to, 10);
}

/* Write a number with leading zeros. */
static uint8_t *write_digits(uint8_t *at, int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) at[i] = (uint8_t)('0' + value % 10);
  return at + digits;
}

/* datetime.isoformat(separator), str(datetime) */
uint64_t KERNEL(k_isodatetime)(struct compiled_context *context, int64_t micros, int32_t separator) {
  int64_t day = floor_divide(micros, MICROSECONDS_PER_DAY), of_day = micros - day * MICROSECONDS_PER_DAY;
  uint64_t date = k_isodate(context, day);
  uint8_t *rest = take(context, 16);
  if (date >> 32 == 0 || rest == NULL) return KERNEL_BAIL;
  uint8_t *to = (uint8_t *)(uint32_t)(date >> 32), *at = to + 10;
  int64_t seconds = of_day / MICROSECONDS_PER_SECOND, fraction = of_day % MICROSECONDS_PER_SECOND;
  *at++ = (uint8_t)separator;
  at = write_digits(at, seconds / 3600, 2);
  *at++ = ':';
  at = write_digits(at, seconds / 60 % 60, 2);
  *at++ = ':';
  at = write_digits(at, seconds % 60, 2);
  if (fraction != 0) {
    *at++ = '.';
    at = write_digits(at, fraction, 6);
  }
  return packed(to, (uint32_t)(at - to));
}

/* Read the short name of a month in any case. Returns its number, 0 if it is none. */
static int64_t month_named(text_t p, uint32_t n) {
  static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
  if (n < 3) return 0;
  for (int64_t month = 0; month < 12; month++) {
    const char *name = names + 3 * month;
    if ((p[0] | 0x20) == name[0] && (p[1] | 0x20) == name[1] && (p[2] | 0x20) == name[2]) return month + 1;
  }
  return 0;
}

/* What strptime has read so far. */
struct fields {
  int64_t year, month, day, hour, minute, second, fraction;
};

/* Read a field of strptime that has all of its digits. Returns the number of bytes it takes, 0 if it is another. */
static uint32_t read_field(uint8_t name, text_t p, uint32_t n, struct fields *fields) {
  if (name == 'b') {
    fields->month = month_named(p, n);
    return fields->month == 0 ? 0 : 3;
  }
  int64_t value = 0;
  uint32_t digits = name == 'Y' ? 4 : name == 'f' ? 6 : 2, i = 0;
  for (; i < digits && i < n && (uint8_t)(p[i] - '0') <= 9; i++) value = value * 10 + (p[i] - '0');
  if (i < digits && name != 'f') return 0;
  switch (name) {
    case 'Y':
      fields->year = value;
      return i;
    case 'y': /* POSIX has 69 to 99 for 1969 to 1999 */
      fields->year = value + (value < 69 ? 2000 : 1900);
      return i;
    case 'm':
      fields->month = value;
      return i;
    case 'd':
      fields->day = value;
      return i;
    case 'H':
      fields->hour = value;
      return i;
    case 'M':
      fields->minute = value;
      return i;
    case 'S':
      fields->second = value;
      return i;
    case 'f':
      for (uint32_t k = i; k < digits; k++) value *= 10;
      fields->fraction = value;
      return i;
    default:
      return 0;
  }
}

/* datetime.strptime(s, format) in microseconds, of text that has all digits of each field. The interpreter does the
 * rest. The format has ASCII characters and the fields %Y %y %m %b %d %H %M %S %f, each at most once. */
int64_t KERNEL(k_strptime)(struct compiled_context *context, text_t p, uint32_t n, text_t format, uint32_t m) {
  struct fields fields = {.year = 1900, .month = 1, .day = 1};
  uint32_t at = 0;
  context->error = KERNEL_BAIL;
  for (uint32_t i = 0; i < m; i++) {
    if (format[i] != '%') {
      if (at >= n || p[at++] != format[i]) return 0;
      continue;
    }
    if (++i >= m) return 0;
    uint32_t length = read_field(format[i], p + at, n - at, &fields);
    if (length == 0) return 0;
    at += length;
  }
  int64_t days = k_days(fields.year, fields.month, fields.day);
  if (at != n || days == INT64_MIN || fields.hour > 23 || fields.minute > 59 || fields.second > 59) return 0;
  context->error = 0;
  int64_t seconds = (fields.hour * 60 + fields.minute) * 60 + fields.second;
  return days * MICROSECONDS_PER_DAY + seconds * MICROSECONDS_PER_SECOND + fields.fraction;
}
