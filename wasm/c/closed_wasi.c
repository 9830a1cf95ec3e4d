/* The guest's whole view of an operating system.
 *
 * wasi-libc reaches the outside through imports of `wasi_snapshot_preview1`. Defining those symbols here keeps them out
 * of the module's import section. What is answered inside the guest can't be reached outside it, whatever the host's
 * linker offers. The build checks the imports that are left, the clock and the random source, against the `IMPORTS` of
 * its link step.
 *
 *  - descriptors 0-2 are character devices, no terminals: reading returns end of file, writing keeps the last bytes for
 *    the host (`udf_output`); any other descriptor is EBADF, and no directory is preopened, so no path can be opened;
 *  - there are no arguments and no environment;
 *  - leaving the process is a trap;
 *  - sleeping spins on the clock, so that the engine's deadline can stop it;
 *  - after `udf_freeze`, time stands still and random bytes follow from a seed. The guest asks the host for nothing,
 *    and the host offers nothing, so that this holds even for code that has taken over this memory.
 */
#include <stdint.h>
#include <string.h>
#include <wasi/api.h>

#include "abi.h"

#define WASI(name) __imported_wasi_snapshot_preview1_##name
#define STANDARD_STREAMS 3

/* The three imports, under names of our own: wasi-libc calls the functions defined below. */
#define IMPORT(name) __attribute__((__import_module__("wasi_snapshot_preview1"), __import_name__(#name)))
extern int32_t host_clock_time_get(int32_t clock, int64_t precision, int32_t time) IMPORT(clock_time_get);
extern int32_t host_clock_res_get(int32_t clock, int32_t resolution) IMPORT(clock_res_get);
extern int32_t host_random_get(int32_t bytes, int32_t length) IMPORT(random_get);

/* ---- output: a buffer that keeps the newest bytes ---------------------------------------------------------------- */

static char output[UDF_OUTPUT_BYTES];
static struct udf_output output_state = {output, 0, 0};

static void keep_output(const uint8_t *bytes, uint32_t length) {
  if (length == 0) return; /* then `bytes` may be NULL, which memcpy doesn't take */
  uint32_t room = sizeof output, used = output_state.length;
  if (used > room) used = room; /* the host writes it too, and so may code that took over this memory */
  output_state.total += length;
  if (length >= room) {
    bytes += length - room;
    length = room;
  }
  if (used + length > room) {
    uint32_t keep = room - length;
    memmove(output, output + used - keep, keep);
    used = keep;
  }
  memcpy(output + used, bytes, length);
  output_state.length = used + length;
}

/* Return where the host finds the output. It sets length and total to zero when it has read it. */
UDF_EXPORT(udf_output) struct udf_output *udf_output(void) { return &output_state; }

int32_t WASI(fd_write)(int32_t fd, int32_t vectors, int32_t count, int32_t written) {
  if ((uint32_t)fd >= STANDARD_STREAMS) return __WASI_ERRNO_BADF;
  const __wasi_ciovec_t *vector = (const __wasi_ciovec_t *)vectors;
  uint32_t total = 0;
  for (int32_t i = 0; i < count; i++) {
    keep_output(vector[i].buf, vector[i].buf_len);
    total += vector[i].buf_len;
  }
  *(uint32_t *)written = total;
  return 0;
}

int32_t WASI(fd_read)(int32_t fd, int32_t vectors, int32_t count, int32_t read) {
  (void)vectors, (void)count;
  if ((uint32_t)fd >= STANDARD_STREAMS) return __WASI_ERRNO_BADF;
  *(uint32_t *)read = 0;
  return 0;
}

int32_t WASI(fd_fdstat_get)(int32_t fd, int32_t stat) {
  if ((uint32_t)fd >= STANDARD_STREAMS) return __WASI_ERRNO_BADF;
  /* wasi-libc's isatty() takes a character device for a terminal unless it may seek. Seeking is ESPIPE all the same. */
  *(__wasi_fdstat_t *)stat = (__wasi_fdstat_t){
      .fs_filetype = __WASI_FILETYPE_CHARACTER_DEVICE,
      .fs_rights_base = __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE | __WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL,
  };
  return 0;
}

int32_t WASI(fd_filestat_get)(int32_t fd, int32_t stat) {
  if ((uint32_t)fd >= STANDARD_STREAMS) return __WASI_ERRNO_BADF;
  *(__wasi_filestat_t *)stat = (__wasi_filestat_t){.filetype = __WASI_FILETYPE_CHARACTER_DEVICE};
  return 0;
}

int32_t WASI(fd_seek)(int32_t fd, int64_t offset, int32_t whence, int32_t position) {
  (void)offset, (void)whence, (void)position;
  return (uint32_t)fd < STANDARD_STREAMS ? __WASI_ERRNO_SPIPE : __WASI_ERRNO_BADF;
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

#define FROZEN_TIME 946684800000000000 /* 2000-01-01T00:00:00Z, in nanoseconds */

static int frozen;
static uint64_t random_state;

/* Make every run the same from now on: time stands still, and random bytes follow from `seed`. */
UDF_EXPORT(udf_freeze) void udf_freeze(uint32_t seed) {
  frozen = 1;
  random_state = seed;
}

int32_t WASI(clock_time_get)(int32_t clock, int64_t precision, int32_t time) {
  if (!frozen) return host_clock_time_get(clock, precision, time);
  *(uint64_t *)time = FROZEN_TIME;
  return 0;
}

int32_t WASI(clock_res_get)(int32_t clock, int32_t resolution) {
  if (!frozen) return host_clock_res_get(clock, resolution);
  *(uint64_t *)resolution = 1;
  return 0;
}

/* SplitMix64 (Steele, Lea, Flood 2014, https://doi.org/10.1145/2660193.2660195). For repeatable runs, not secrets. */
static uint64_t next_random(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

int32_t WASI(random_get)(int32_t bytes, int32_t length) {
  if (!frozen) return host_random_get(bytes, length);
  uint8_t *at = (uint8_t *)bytes;
  for (uint32_t i = 0; i < (uint32_t)length; i++) at[i] = (uint8_t)next_random();
  return 0;
}

static uint64_t now(uint32_t clock) {
  uint64_t time = 0;
  WASI(clock_time_get)((int32_t)clock, 1, (int32_t)&time);
  return time;
}

int32_t WASI(poll_oneoff)(int32_t in, int32_t out, int32_t count, int32_t ready) {
  const __wasi_subscription_t *subscription = (const __wasi_subscription_t *)in;
  if (count != 1 || subscription->u.tag != __WASI_EVENTTYPE_CLOCK) return __WASI_ERRNO_NOTSUP;
  const __wasi_subscription_clock_t *clock = &subscription->u.u.clock;
  uint64_t until = clock->timeout;
  if (!(clock->flags & __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME)) until += now(clock->id);
  while (!frozen && now(clock->id) < until) {
  }
  *(__wasi_event_t *)out = (__wasi_event_t){.userdata = subscription->userdata, .type = __WASI_EVENTTYPE_CLOCK};
  *(uint32_t *)ready = 1;
  return 0;
}

int32_t WASI(sched_yield)(void) { return 0; }

/* ---- arguments, environment, process ----------------------------------------------------------------------------- */

static int32_t no_strings(int32_t count, int32_t bytes) {
  *(uint32_t *)count = 0;
  *(uint32_t *)bytes = 0;
  return 0;
}

int32_t WASI(args_sizes_get)(int32_t count, int32_t bytes) { return no_strings(count, bytes); }
int32_t WASI(environ_sizes_get)(int32_t count, int32_t bytes) { return no_strings(count, bytes); }
int32_t WASI(args_get)(int32_t a, int32_t b) { return (void)a, (void)b, 0; }
int32_t WASI(environ_get)(int32_t a, int32_t b) { return (void)a, (void)b, 0; }

_Noreturn void WASI(proc_exit)(int32_t code) {
  (void)code;
  static const char message[] = "\nthe guest tried to leave its process\n";
  keep_output((const uint8_t *)message, sizeof message - 1);
  __builtin_trap();
}

/* ---- everything that would need a file, a directory or a socket -------------------------------------------------- */

#define BAD_DESCRIPTOR(name, ...) \
  int32_t WASI(name)(__VA_ARGS__) { return __WASI_ERRNO_BADF; }

typedef int32_t i32;
typedef int64_t i64;

BAD_DESCRIPTOR(fd_advise, i32, i64, i64, i32)
BAD_DESCRIPTOR(fd_allocate, i32, i64, i64)
BAD_DESCRIPTOR(fd_close, i32)
/* zig's own libc functions name the import differently */
int32_t zig_fd_close(i32) __asm__("fd_close|wasi_snapshot_preview1");
int32_t zig_fd_close(i32 fd) { return (void)fd, __WASI_ERRNO_BADF; }
BAD_DESCRIPTOR(fd_datasync, i32)
BAD_DESCRIPTOR(fd_fdstat_set_flags, i32, i32)
BAD_DESCRIPTOR(fd_fdstat_set_rights, i32, i64, i64)
BAD_DESCRIPTOR(fd_filestat_set_size, i32, i64)
BAD_DESCRIPTOR(fd_filestat_set_times, i32, i64, i64, i32)
BAD_DESCRIPTOR(fd_pread, i32, i32, i32, i64, i32)
BAD_DESCRIPTOR(fd_prestat_get, i32, i32)
BAD_DESCRIPTOR(fd_prestat_dir_name, i32, i32, i32)
BAD_DESCRIPTOR(fd_pwrite, i32, i32, i32, i64, i32)
BAD_DESCRIPTOR(fd_readdir, i32, i32, i32, i64, i32)
BAD_DESCRIPTOR(fd_renumber, i32, i32)
BAD_DESCRIPTOR(fd_sync, i32)
BAD_DESCRIPTOR(fd_tell, i32, i32)
BAD_DESCRIPTOR(path_create_directory, i32, i32, i32)
BAD_DESCRIPTOR(path_filestat_get, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(path_filestat_set_times, i32, i32, i32, i32, i64, i64, i32)
BAD_DESCRIPTOR(path_link, i32, i32, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(path_open, i32, i32, i32, i32, i32, i64, i64, i32, i32)
BAD_DESCRIPTOR(path_readlink, i32, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(path_remove_directory, i32, i32, i32)
BAD_DESCRIPTOR(path_rename, i32, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(path_symlink, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(path_unlink_file, i32, i32, i32)
BAD_DESCRIPTOR(sock_accept, i32, i32, i32)
BAD_DESCRIPTOR(sock_recv, i32, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(sock_send, i32, i32, i32, i32, i32)
BAD_DESCRIPTOR(sock_shutdown, i32, i32)

/* ---- names of hosts and services: wasi-libc declares these and defines none -------------------------------------- */

struct hostent;
struct servent;

int *__h_errno_location(void) {
  static int h_errno_value;
  return &h_errno_value;
}

struct hostent *gethostbyname(const char *name) { return (void)name, NULL; }
struct hostent *gethostbyaddr(const void *address, uint32_t length, int type) {
  return (void)address, (void)length, (void)type, NULL;
}
struct servent *getservbyname(const char *name, const char *protocol) { return (void)name, (void)protocol, NULL; }
struct servent *getservbyport(int port, const char *protocol) { return (void)port, (void)protocol, NULL; }
