/* Gates, pools, instances and budgets: see calls.h. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "epochs.h"

struct process process;

/* How long a call that has ended waits for a stop to be over, which takes less than a millisecond. */
#define MOST_WAIT_SECONDS 0.02

/* ---- the process
 * ----------------------------------------------------------------------------------------------------- */

/* Return whether nobody in the process uses the library yet; the caller does from now on. */
EXPORT int32_t native_take(void) {
  static atomic_int taken;
  return !atomic_exchange(&taken, 1);
}

EXPORT void native_set_python(int32_t (*python)(void *), void *keyboard_interrupt, const char *closed,
                              const char *interrupted) {
  process.python = python;
  process.keyboard_interrupt = keyboard_interrupt;
  process.closed = closed;
  process.interrupted = interrupted;
}

/* Return whether no signal's handler has raised. Most signals arrive while this thread is far from Python; ctypes would
 * print what their handlers raise before the first line of the function that it calls. The GIL is held. */
static bool signals_are_done(void) {
  if (P.PyErr_CheckSignals() == 0) return true;
  if (P.PyErr_ExceptionMatches(process.keyboard_interrupt)) {
    P.PyErr_Clear(); /* the query's error says it */
  } else {
    P.PyErr_WriteUnraisable(NULL); /* as ctypes does */
  }
  return false;
}

/* Have a function of Python's run. It hasn't if it doesn't say so: the handler of a signal has raised before. */
void python_call(int32_t (*function)(void *), void *call) {
  int32_t state = P.PyGILState_Ensure();
  if (signals_are_done()) function(call);
  P.PyGILState_Release(state);
}

/* From now on Python is never called: the interpreter ends. */
EXPORT void native_leave(void) { atomic_store(&process.leaving, 1); }

EXPORT void native_set_careful(int32_t by) { atomic_fetch_add(&process.careful, by); }

EXPORT void native_start_ticking(void) { atomic_store(&process.ticking, 1); }

/* Return whether the ticker may end: no guest runs, and none begins until it ticks again. */
EXPORT int32_t native_stop_ticking(void) {
  atomic_store(&process.ticking, 0);
  if (atomic_load(&process.running) == 0) return 1;
  atomic_store(&process.ticking, 1);
  return 0;
}

EXPORT int32_t native_running(void) { return atomic_load(&process.running); }

EXPORT int64_t native_calls(void) { return atomic_load(&process.calls); }

/* Return the number of the last cancel in the process, of whatever sandbox. A query that began at such a number belongs
 * to the past of those with higher ones. */
uint64_t cancels_now(void) { return atomic_load(&process.cancels); }

static void raise_to(_Atomic(uint64_t) *at, uint64_t number) {
  uint64_t before = atomic_load(at);
  while (before < number && !atomic_compare_exchange_weak(at, &before, number)) continue;
}

/* Have no guest begin to run for the queries of a sandbox that have begun; `gate` is NULL if none runs without Python.
 */
EXPORT void native_cancel(struct gate *gate, uint64_t number) {
  raise_to(&process.cancels, number);
  if (gate == NULL) return;
  lock(&gate->lock); /* so that a call either is in the list of those that run, or sees this */
  if (gate->cancelled < number) gate->cancelled = number;
  unlock(&gate->lock);
}

/* In a child process that was forked, other threads' calls don't exist. */
EXPORT void native_after_fork(void) {
  atomic_store(&process.running, 0);
  atomic_store(&process.ticking, 0);
  atomic_store(&process.careful, 0);
  epochs_after_fork();
}

/* ---- gates
 * ------------------------------------------------------------------------------------------------------------- */

EXPORT struct gate *native_gate_new(void) {
  struct gate *gate = calloc(1, sizeof *gate);
  if (gate != NULL) atomic_store(&gate->references, 1);
  return gate;
}

EXPORT void native_gate_release(struct gate *gate) {
  if (atomic_fetch_sub(&gate->references, 1) == 1) free(gate);
}

EXPORT void native_gate_block(struct gate *gate, int32_t reason, int32_t on) {
  if (on) {
    atomic_fetch_or(&gate->blocked, reason);
  } else {
    atomic_fetch_and(&gate->blocked, ~reason);
  }
}

/* Have all calls of some threads be Python's, and of no others; return false if they are too many. */
EXPORT int32_t native_gate_block_threads(struct gate *gate, const uint64_t *threads, int32_t n) {
  bool fits = n <= MOST_FAILED_THREADS;
  for (int32_t i = 0; fits && i < n; i++) atomic_store(&gate->failed[i], threads[i]);
  atomic_store(&gate->n_failed, fits ? n : 0);
  return fits;
}

/* Return whether this thread's calls are Python's. */
static bool is_blocked(struct gate *gate) {
  int32_t n = atomic_load(&gate->n_failed);
  if (n == 0) return false;
  uint64_t thread = this_thread();
  while (n > 0 && atomic_load(&gate->failed[n - 1]) != thread) n--;
  return n > 0;
}

EXPORT void native_gate_wait(struct gate *gate, int32_t by) { atomic_fetch_add(&gate->waiting, by); }

/* Announce a call; return whether it may be C's. If so, `gate_leave` has to follow. */
bool gate_enter(struct gate *gate) {
  atomic_fetch_add(&process.running, 1); /* first: `native_stop_ticking` looks at it after it has changed `ticking` */
  if (atomic_load(&process.ticking) && !atomic_load(&process.careful) && !atomic_load(&process.leaving) &&
      !atomic_load(&gate->blocked) && !is_blocked(gate)) {
    atomic_fetch_add_explicit(&process.calls, 1, memory_order_relaxed);
    return true;
  }
  gate_leave();
  return false;
}

void gate_leave(void) { atomic_fetch_sub(&process.running, 1); }

/* Let no guest begin to run until `native_gate_thaw`. */
EXPORT void native_gate_freeze(struct gate *gate) {
  lock(&gate->lock); /* so that those that have begun are in the list */
  atomic_fetch_add(&gate->stopping, 1);
  unlock(&gate->lock);
}

EXPORT void native_gate_thaw(struct gate *gate) { atomic_fetch_sub(&gate->stopping, 1); }

/* Return the number of calls that run and Python doesn't know, and the first `most` of them. */
EXPORT int32_t native_gate_running(struct gate *gate, struct running *out, int32_t most) {
  int32_t n = 0;
  double now = seconds_now();
  lock(&gate->lock);
  for (struct instance *instance = gate->running; instance != NULL; instance = instance->next_running) {
    if (instance->adopted) continue;
    if (n < most) {
      double age = now - instance->began;
      out[n] = (struct running){
          instance, instance->serial, instance->thread, age, instance->seconds - age, instance->stopped, 0};
    }
    n++;
  }
  unlock(&gate->lock);
  return n;
}

/* Return an instance if it still runs the call; the gate's lock is held then. */
static struct instance *find_running(struct gate *gate, struct instance *instance, uint64_t serial) {
  lock(&gate->lock);
  for (struct instance *other = gate->running; other != NULL; other = other->next_running) {
    if (other == instance && other->serial == serial && !other->adopted) return other;
  }
  unlock(&gate->lock);
  return NULL;
}

EXPORT void native_call_stop(struct gate *gate, struct instance *instance, uint64_t serial, int32_t reason) {
  if (find_running(gate, instance, serial) == NULL) return;
  if (!instance->stopped) instance->stopped = reason;
  unlock(&gate->lock);
}

/* Set the deadline of a call that runs. wasmtime writes one aligned word, which the guest reads again before it traps.
 */
EXPORT void native_call_move(struct gate *gate, struct instance *instance, uint64_t serial, uint64_t ticks) {
  if (find_running(gate, instance, serial) == NULL) return;
  W.wasmtime_context_set_epoch_deadline(instance->context, ticks);
  unlock(&gate->lock);
}

/* ---- instances
 * --------------------------------------------------------------------------------------------------------- */

EXPORT struct instance *native_instance_new(void) { return calloc(1, sizeof(struct instance)); }

EXPORT void native_instance_free(struct instance *instance) { free(instance); }

/* Return whether an instance runs a call of C's that Python doesn't know yet, and have Python know it. */
EXPORT int32_t native_instance_adopt(struct instance *instance, double *began, double *seconds, int32_t *stopped) {
  struct gate *gate = instance->pool->gate;
  lock(&gate->lock);
  int32_t is_new = instance->is_running && !instance->adopted;
  if (is_new) {
    instance->adopted = 1;
    *began = instance->began;
    *seconds = instance->seconds;
    *stopped = instance->stopped;
  }
  unlock(&gate->lock);
  return is_new;
}

/* Let a guest run for `seconds` from now. `instance_end` has to follow, unless deadlines are being moved, or
 * the query that began with a number of cancels is cancelled. */
bool instance_begin(struct instance *instance, double seconds, uint64_t begun) {
  struct gate *gate = instance->pool->gate;
  double ticks = seconds / gate->tick_seconds;
  uint64_t whole = (uint64_t)ticks;
  lock(&gate->lock);
  bool may = !atomic_load(&gate->stopping) && begun >= gate->cancelled;
  if (may) {
    instance->serial++;
    instance->thread = this_thread();
    instance->began = seconds_now();
    instance->seconds = seconds;
    instance->stopped = instance->adopted = 0;
    instance->is_running = 1;
    instance->next_running = gate->running;
    instance->running_at = &gate->running;
    if (gate->running != NULL) gate->running->running_at = &instance->next_running;
    gate->running = instance;
    W.wasmtime_context_set_epoch_deadline(instance->context, whole + (ticks > (double)whole) + 1);
  }
  unlock(&gate->lock);
  return may;
}

/* End a call. Whoever moves deadlines at this moment finds it still running, so that a stop isn't missed between two
 * steps of a scan. It isn't waited for any longer, in case that it waits for this thread. */
void instance_end(struct instance *instance) {
  struct gate *gate = instance->pool->gate;
  double give_up = 0;
  for (;;) {
    lock(&gate->lock);
    if (!atomic_load(&gate->stopping)) break;
    if (give_up == 0) give_up = seconds_now() + MOST_WAIT_SECONDS;
    if (seconds_now() > give_up) break;
    unlock(&gate->lock);
    pause_thread();
  }
  *instance->running_at = instance->next_running;
  if (instance->next_running != NULL) instance->next_running->running_at = instance->running_at;
  instance->is_running = 0;
  unlock(&gate->lock);
}

/* ---- pools
 * ------------------------------------------------------------------------------------------------------------- */

EXPORT struct pool *native_pool_new(struct gate *gate, struct budget *budget) {
  struct pool *pool = calloc(1, sizeof *pool);
  if (pool == NULL) return NULL;
  atomic_store(&pool->references, 1);
  atomic_fetch_add(&gate->references, 1);
  atomic_fetch_add(&budget->references, 1);
  pool->gate = gate;
  pool->budget = budget;
  return pool;
}

void pool_release(struct pool *pool) {
  if (atomic_fetch_sub(&pool->references, 1) != 1) return;
  native_gate_release(pool->gate);
  budget_release(pool->budget);
  free(pool);
}

EXPORT void native_pool_release(struct pool *pool) { pool_release(pool); }

/* Lend an instance to C, which takes it from the pool's list for a call. */
EXPORT void native_pool_lend(struct pool *pool, struct instance *instance) {
  lock(&pool->lock);
  instance->pool = pool;
  instance->generation = pool->generation;
  instance->is_lent = 1;
  instance->next = pool->idle;
  pool->idle = instance;
  unlock(&pool->lock);
}

/* Take a lent instance back; return whether it is Python's now, and not busy. */
EXPORT int32_t native_pool_claim(struct pool *pool, struct instance *instance) {
  lock(&pool->lock);
  for (struct instance **at = &pool->idle; *at != NULL; at = &(*at)->next) {
    if (*at != instance) continue;
    *at = instance->next;
    instance->is_lent = 0;
    break;
  }
  int32_t is_pythons = !instance->is_lent;
  unlock(&pool->lock);
  return is_pythons;
}

/* Take all lent instances back: those that are busy when their call is done. */
EXPORT void native_pool_recall(struct pool *pool) {
  lock(&pool->lock);
  pool->generation++;
  for (; pool->idle != NULL; pool->idle = pool->idle->next) pool->idle->is_lent = 0;
  unlock(&pool->lock);
}

/* Set whether the function is compiled, and return a verdict and the counts of compiled rows since last time. */
EXPORT int32_t native_pool_counts(struct pool *pool, int32_t is_compiled, int64_t *compiled, int64_t *bailed) {
  lock(&pool->lock);
  int32_t verdict = pool->verdict;
  if (is_compiled != pool->is_compiled) pool->judged_rows = pool->judged_bailed = 0;
  pool->is_compiled = is_compiled;
  pool->verdict = NONE;
  *compiled = pool->compiled_rows;
  *bailed = pool->bailed_rows;
  pool->compiled_rows = pool->bailed_rows = 0;
  unlock(&pool->lock);
  return verdict;
}

struct instance *pool_take(struct pool *pool) {
  lock(&pool->lock);
  struct instance *instance = pool->idle;
  if (instance != NULL) pool->idle = instance->next;
  unlock(&pool->lock);
  return instance;
}

static bool put_back(struct pool *pool, struct instance *instance, bool is_shared) {
  lock(&pool->lock); /* before the gate is read: whoever waits looks at the list after it has said so */
  bool mine = instance->generation == pool->generation;
  if (is_shared) mine = mine && !atomic_load(&pool->gate->blocked) && !atomic_load(&pool->gate->waiting);
  if (mine) {
    instance->next = pool->idle;
    pool->idle = instance;
  }
  unlock(&pool->lock);
  return mine;
}

/* Give an instance back to the pool's list; false if it is to be Python's. */
bool pool_give(struct pool *pool, struct instance *instance) { return put_back(pool, instance, true); }

/* Likewise the instance of a scan, which nobody else can have before the scan ends. */
bool pool_keep(struct pool *pool, struct instance *instance) { return put_back(pool, instance, false); }
