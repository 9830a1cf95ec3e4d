/* Times, for the time module of Python. */
#include <time.h>

struct tm *__gmtime_r(const time_t *restrict seconds, struct tm *restrict result); /* musl's own name of it */

/* Behind time.process_time(): the time that an instance has run. wasi-libc's counts from a start that is in the
 * snapshot, so that it was negative in a new instance. The monotonic clock starts at zero in each. */
clock_t clock(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return -1;
  return (clock_t)now.tv_sec * CLOCKS_PER_SEC + now.tv_nsec;
}

/* As glibc, whose time has this name: time.strftime("%a, %d %b %Y %T %Z", time.gmtime()) is a date of HTTP. */
struct tm *gmtime_r(const time_t *restrict seconds, struct tm *restrict result) {
  if (__gmtime_r(seconds, result) == NULL) return NULL;
  result->tm_zone = "GMT";
  return result;
}
