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

/* datetime.strptime(s, format) in microseconds, of text that has all digits of each field. The interpreter does the
 * rest. The format has ASCII characters and the fields %Y %m %d %H %M %S. */
int64_t KERNEL(k_strptime)(struct compiled_context *context, text_t p, uint32_t n, text_t format, uint32_t m) {
  int64_t year = 1900, month = 1, day = 1, hour = 0, minute = 0, second = 0;
  uint32_t at = 0;
  context->error = KERNEL_BAIL;
  for (uint32_t i = 0; i < m; i++) {
    if (format[i] != '%') {
      if (at >= n || p[at++] != format[i]) return 0;
      continue;
    }
    if (++i >= m) return 0;
    int64_t value = 0;
    uint32_t digits = format[i] == 'Y' ? 4 : 2;
    for (; digits > 0; digits--, at++) {
      if (at >= n || (uint8_t)(p[at] - '0') > 9) return 0;
      value = value * 10 + (p[at] - '0');
    }
    switch (format[i]) {
      case 'Y':
        year = value;
        break;
      case 'm':
        month = value;
        break;
      case 'd':
        day = value;
        break;
      case 'H':
        hour = value;
        break;
      case 'M':
        minute = value;
        break;
      case 'S':
        second = value;
        break;
      default:
        return 0;
    }
  }
  int64_t days = k_days(year, month, day);
  if (at != n || days == INT64_MIN || hour > 23 || minute > 59 || second > 59) return 0;
  context->error = 0;
  return days * MICROSECONDS_PER_DAY + ((hour * 60 + minute) * 60 + second) * MICROSECONDS_PER_SECOND;
}
