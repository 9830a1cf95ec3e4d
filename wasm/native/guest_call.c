/* One call of a guest's export, from its deadline to what it has printed. */
#include <string.h>

#include "api.h"
#include "calls.h"

/* wasmtime_val_t of an integer: the kind (0 for i32), then a union. */
#define MOST_VALUE_BYTES 64
static size_t value_bytes, value_offset;

EXPORT void native_set_value_layout(size_t bytes, size_t offset) {
  value_bytes = bytes;
  value_offset = offset;
}

/* Let a guest run, for as long as its function has left. False if it is Python's to say what is wrong, or deadlines are
 * being moved, or the query was cancelled. `call_guest` and `budget_end` have to follow otherwise. */
bool call_begin(struct pool *pool, struct instance *instance, struct call *call, double began) {
  struct gate *gate = pool->gate;
  double left;
  if (!budget_begin(pool->budget, began, &left)) return false;
  call->instance = instance->number;
  call->is_budgeted = left < gate->timeout_seconds;
  if (instance_begin(instance, call->is_budgeted ? left : gate->timeout_seconds, call->begun)) return true;
  lock(&pool->budget->lock);
  pool->budget->running--;
  unlock(&pool->budget->lock);
  return false;
}

/* Call the export of an instance on a stack of wasmtime's own, as _engine/raw_instance.py does: with the arena as its
 * only argument, or with none. */
void call_guest(struct instance *instance, struct call *call, size_t n_arguments) {
  uint8_t argument[MOST_VALUE_BYTES] = {0}, result[MOST_VALUE_BYTES] = {0};
  memcpy(argument + value_offset, &instance->arena, sizeof instance->arena);
  double began = seconds_now();
  void *future = W.wasmtime_func_call_async(instance->context, instance->call, argument, n_arguments, result, 1,
                                            &call->trap, &call->error);
  while (!W.wasmtime_call_future_poll(future)) continue; /* nothing that it calls waits by suspending it */
  W.wasmtime_call_future_delete(future);
  call->seconds = seconds_now() - began;
  memcpy(&call->status, result + value_offset, sizeof call->status);
  instance_end(instance);
  call->stopped = instance->stopped;
  call->sound = 1;
}
