/* Calls of guests that C makes, and what Python and C keep together about them.
 *
 * A spin lock guards each structure, for a few instructions. Nothing calls Python, DuckDB or wasmtime's guests while it
 * holds one, so a thread that has the GIL may take it too.
 */
#ifndef NATIVE_CALLS_H
#define NATIVE_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOST_ARGUMENTS 32

typedef atomic_int spin_lock;
void lock(spin_lock *);
void unlock(spin_lock *);
void pause_thread(void);
double seconds_now(void);
uint64_t this_thread(void); /* as threading.get_ident() */

/* Where the calls of a thread's for a query come from. */
struct origin {
  uint64_t connection; /* its number */
  uint64_t begun;      /* the number of the last cancel when the thread began */
};

/* Why calls are Python's: see NativeGate in _native/gate.py. */
enum blocked { CLOSED = 1 };

#define MOST_FAILED_THREADS 64

/* What all functions of a sandbox share. Python makes it. */
struct gate {
  atomic_int references;
  spin_lock lock;      /* of `running`, and of what is in an instance that is in it */
  atomic_int blocked;  /* not 0: all calls are Python's */
  atomic_int waiting;  /* Python calls that wait for an instance: those that are released go to Python */
  atomic_int stopping; /* deadlines are being moved: no guest may begin to run */
  double tick_seconds, timeout_seconds;
  uint64_t recycle_bytes, result_bytes, most_bytes;
  struct instance *running;
  uint64_t cancelled;  /* number of the last cancel; guarded by the lock */
  atomic_int n_failed; /* threads whose calls are Python's, as RecentErrors has to hear of them */
  _Atomic uint64_t failed[MOST_FAILED_THREADS];
};

/* The time of a function, and what it did: Budget and Usage in _guests/budget.py. */
struct budget {
  atomic_int references;
  spin_lock lock;
  double allowed, gap, spent, busy_since, last;
  int64_t running;
  int64_t calls, rows, errors, native_rows, native_calls, failed_rows;
  double seconds, guest_seconds;
  uint64_t peak_memory_bytes;
};

struct type {
  int32_t id;
  uint8_t width, scale; /* of a DECIMAL */
  uint8_t json;         /* a VARCHAR that is called JSON */
  uint8_t sees_null;    /* an argument: the function may be called for NULL */
};

/* What Python is to decide on compiled code: Compilation. */
enum verdict { NONE, CHANGED, TOO_MANY };

/* Instances of a function for arguments of certain types. */
struct pool {
  atomic_int references;
  spin_lock lock; /* of what follows */
  struct instance *idle;
  int32_t generation; /* those of another one go back to Python */
  int32_t by_batch, is_compiled, is_fixed, verdict;
  int64_t compiled_rows, bailed_rows, judged_rows, judged_bailed;
  struct gate *gate;
  struct budget *budget;
};

/* An instance that C may use while it is in its pool's list, or running. */
struct instance {
  struct instance *next; /* in the pool */
  struct instance *next_running, **running_at;
  struct pool *pool;
  int64_t number; /* Python's name of it */
  void *context;
  const void *call, *memory;
  uint32_t arena, arena_bytes, result, output;
  int32_t generation, is_lent; /* to C; one that is busy stays so until Python takes it back */
  uint32_t has_output, unused;
  uint64_t memory_bytes;
  /* of the call that runs */
  uint64_t serial, thread;
  double began, seconds; /* when, and how long it may take */
  int32_t stopped;       /* number of the reason */
  int32_t adopted;       /* Python knows the call, and has set its deadline */
  int32_t is_running;
};

/* A call that isn't C's alone: for Python, with what it answers. */
enum reason { BATCH, FAILED, RESULT, RETURNED, ARROW };

struct argument {
  int32_t id, width, scale, unused;
  const uint8_t *validity, *values;
  const int32_t *offsets;
  int64_t bytes;
};

struct function;

struct call {
  int32_t reason, n_arguments;
  int64_t function, instance, rows;
  int64_t rows_before; /* that a scan had before this step of it; -1: a batch */
  struct argument *arguments;
  void *info, *output;
  const struct type *result;
  struct function *owner;
  void *array, *schema; /* of a batch in Arrow's C data interface */
  uint64_t connection;  /* which one calls: see origin_of */
  uint64_t begun;       /* the number of the last cancel when the query began to call the function */
  void *trap, *error;
  double seconds, host_seconds;
  int32_t status, stopped, is_budgeted, failed, sound, is_done;
};

/* A call that runs, for Python. */
struct running {
  struct instance *instance;
  uint64_t serial, thread;
  double age, left;
  int32_t stopped, unused;
};

extern struct process {
  int32_t (*python)(void *);
  void *keyboard_interrupt; /* the class */
  atomic_int ticking, careful, leaving, forks;
  atomic_int running;
  atomic_llong calls;
  _Atomic(uint64_t) cancels;        /* number of the last cancel: queries that began before it may be cancelled */
  const char *closed, *interrupted; /* errors: the interpreter has ended; a signal's exception came before ours */
} process;

void python_call(int32_t (*function)(void *), void *call);
void remember_origin(void *info);
struct origin origin_of(void *info, void *database);
uint64_t cancels_now(void);
void *instance_of(void *database);
int32_t connect_to(void *instance, void **connection);
bool gate_enter(struct gate *);
void gate_leave(void);
bool instance_begin(struct instance *, double seconds, uint64_t begun);
void instance_end(struct instance *);
struct instance *pool_take(struct pool *);
bool pool_give(struct pool *, struct instance *);
bool pool_keep(struct pool *, struct instance *);
void pool_release(struct pool *);
void budget_release(struct budget *);
bool budget_begin(struct budget *, double now, double *left);
void budget_end(struct budget *, double began, double now, const struct call *, uint64_t memory_bytes);
bool call_begin(struct pool *, struct instance *, struct call *, double began);
void call_guest(struct instance *, struct call *, size_t n_arguments);

#endif
