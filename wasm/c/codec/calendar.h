/* Days, microseconds and the civil calendar. */
#ifndef UDF_CALENDAR_H
#define UDF_CALENDAR_H

#include <stdint.h>

#define MICROSECONDS_PER_SECOND INT64_C(1000000)
#define MICROSECONDS_PER_DAY (INT64_C(86400) * MICROSECONDS_PER_SECOND)

/* The greatest offset from UTC that DuckDB's TIME WITH TIME ZONE holds, in seconds: 15:59:59. */
#define MAX_UTC_OFFSET 57599

/* The days 0001-01-01 and 9999-12-31, the bounds of Python's datetime. */
#define MIN_DAY INT64_C(-719162)
#define MAX_DAY INT64_C(2932896)

/* Convert a day counted from 1970-01-01 to its proleptic Gregorian date, and back: Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms" (https://howardhinnant.github.io/date_algorithms.html), civil_from_days and
 * days_from_civil. */
static inline void civil_from_days(int64_t days, int *year, int *month, int *day) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t of_era = days - era * 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * of_year + 2) / 153; /* month from March */
  *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static inline int64_t days_from_civil(int year, int month, int day) {
  year -= month <= 2;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
  return era * 146097 + of_era - 719468;
}

static inline int64_t floor_divide(int64_t value, int64_t by) {
  int64_t quotient = value / by;
  return quotient - (value % by < 0);
}

#endif
