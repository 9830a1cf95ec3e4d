/* Of the operating system: locks that a fork can't break, a clock and threads. */
#include "calls.h"

#include "api.h"

#ifdef _WIN32
__declspec(dllimport) unsigned long __stdcall GetCurrentThreadId(void);
__declspec(dllimport) int __stdcall SwitchToThread(void);
__declspec(dllimport) int __stdcall QueryPerformanceCounter(int64_t *);
__declspec(dllimport) int __stdcall QueryPerformanceFrequency(int64_t *);
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>
#endif

/* A child that is forked has no other threads: nobody would unlock what one of them holds, or finish what it changes.
 * So a fork waits until nothing is locked, and locking waits for the fork. Each thread counts what it holds in one of
 * several places, so that threads don't wait for each other's cache lines. A thread holds one lock at a time. */
#define PLACES 64
static struct {
  _Alignas(64) atomic_int held;
} places[PLACES];
static atomic_int forking;

static atomic_int *place_of_thread(void) { return &places[this_thread() * UINT64_C(0x9E3779B97F4A7C15) >> 58].held; }

void pause_thread(void) {
#ifdef _WIN32
  SwitchToThread();
#else
  sched_yield();
#endif
}

void lock(spin_lock *at) {
  atomic_int *held = place_of_thread();
  for (;; pause_thread()) {
    if (atomic_load(&forking)) continue;
    atomic_fetch_add(held, 1); /* before it looks at `forking`, as a fork sets that before it looks here */
    if (!atomic_load(&forking) && !atomic_exchange_explicit(at, 1, memory_order_acquire)) return;
    atomic_fetch_sub(held, 1);
  }
}

void unlock(spin_lock *at) {
  atomic_store_explicit(at, 0, memory_order_release);
  atomic_fetch_sub(place_of_thread(), 1);
}

#ifndef _WIN32
static void before_fork(void) {
  atomic_fetch_add(&forking, 1);
  for (int i = 0; i < PLACES; i++) {
    while (atomic_load(&places[i].held) != 0) pause_thread();
  }
}

static void after_fork(void) { atomic_fetch_sub(&forking, 1); }

static void after_fork_in_child(void) {
  for (int i = 0; i < PLACES; i++) atomic_store(&places[i].held, 0); /* of threads that were about to lock */
  atomic_store(&forking, 0);
}

/* The C library calls these in every fork. It forgets them if it unloads the library, which ctypes never does. */
__attribute__((constructor)) static void watch_forks(void) {
  pthread_atfork(before_fork, after_fork, after_fork_in_child);
}
#endif

EXPORT double native_seconds(void) { return seconds_now(); }

double seconds_now(void) {
#ifdef _WIN32
  int64_t count = 0, frequency = 1;
  QueryPerformanceCounter(&count);
  QueryPerformanceFrequency(&frequency);
  return (double)count / (double)frequency;
#else
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

uint64_t this_thread(void) {
#ifdef _WIN32
  return GetCurrentThreadId();
#else
  return (uint64_t)(uintptr_t)pthread_self();
#endif
}
