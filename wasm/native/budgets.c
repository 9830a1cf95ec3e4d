/* The time of functions, counted over calls of C's and of Python's: Budget in _guests/budget.py. */
#include <stdlib.h>

#include "api.h"
#include "calls.h"

void budget_release(struct budget *budget) {
  if (atomic_fetch_sub(&budget->references, 1) == 1) free(budget);
}

EXPORT void native_budget_release(struct budget *budget) { budget_release(budget); }

EXPORT struct budget *native_budget_new(double allowed, double gap, double never) {
  struct budget *budget = calloc(1, sizeof *budget);
  if (budget == NULL) return NULL;
  atomic_store(&budget->references, 1);
  budget->allowed = allowed;
  budget->gap = gap;
  budget->last = never;
  return budget;
}

EXPORT void native_budget_failed(struct budget *budget, int64_t rows) {
  lock(&budget->lock);
  budget->failed_rows += rows;
  unlock(&budget->lock);
}

/* Begin a call: Budget.begin. False if nothing is left. */
bool budget_begin(struct budget *budget, double now, double *left) {
  lock(&budget->lock);
  if (!budget->running) {
    budget->busy_since = now;
    if (now - budget->last >= budget->gap) budget->spent = 0;
  }
  *left = budget->allowed - budget->spent - (now - budget->busy_since);
  if (*left > 0) budget->running++;
  unlock(&budget->lock);
  return *left > 0;
}

EXPORT double native_budget_begin(struct budget *budget) {
  double left, now = seconds_now();
  if (budget_begin(budget, now, &left)) return left;
  lock(&budget->lock);
  budget->spent = 0;
  budget->busy_since = now;
  unlock(&budget->lock);
  return 0;
}

static void end(struct budget *budget, double began, double now, int64_t rows, double guest_seconds, uint64_t memory) {
  if (--budget->running == 0) budget->spent += now - budget->busy_since;
  budget->last = now;
  budget->calls++;
  budget->seconds += now - began;
  budget->guest_seconds += guest_seconds;
  if (rows < 0) {
    budget->errors++;
  } else {
    budget->rows += rows;
  }
  if (memory > budget->peak_memory_bytes) budget->peak_memory_bytes = memory;
}

/* End a call of Python's. `rows` is -1 if it failed. */
EXPORT void native_budget_end(struct budget *budget, double seconds, int64_t rows, double guest, uint64_t memory) {
  double now = seconds_now();
  lock(&budget->lock);
  end(budget, now - seconds, now, rows, guest, memory);
  unlock(&budget->lock);
}

/* End a call of C's. */
void budget_end(struct budget *budget, double began, double now, const struct call *call, uint64_t memory_bytes) {
  double guest = call->sound ? call->seconds - call->host_seconds : 0;
  lock(&budget->lock);
  end(budget, began, now, call->failed ? -1 : call->rows, guest, call->sound ? memory_bytes : 0);
  budget->native_calls++;
  if (!call->failed && call->reason != RESULT) budget->native_rows += call->rows;
  unlock(&budget->lock);
}
