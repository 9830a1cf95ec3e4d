/* Scalar functions: DuckDB's vectors into a guest, and its results back, without Python. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "calls.h"
#include "columns.h"
#include "function.h"

struct batch {
  struct function *function;
  double began;
  struct column columns[MOST_ARGUMENTS];
  int32_t first; /* column that is an argument of the guest's: 1 behind the code of an inline function */
  struct call call;
};

/* ---- Python
 * -------------------------------------------------------------------------------------------------------------- */

/* Have Python do the rest of a call. */
static void ask_python(struct batch *batch, enum reason reason) {
  struct argument arguments[MOST_ARGUMENTS];
  struct call *call = &batch->call;
  void *scratch = NULL;
  call->reason = (int32_t)reason;
  call->arguments = arguments;
  if (atomic_load(&process.leaving)) {
    D.duckdb_scalar_function_set_error(call->info, process.closed);
    call->failed = 1;
    return;
  }
  if (reason == BATCH &&
      !arguments_copy(batch->columns, call->n_arguments, (uint64_t)call->rows, arguments, &scratch)) {
    D.duckdb_scalar_function_set_error(call->info, "out of memory");
    return;
  }
  call->is_done = 0;
  do {
    python_call(process.python, call);
    /* The handler of a signal can raise before Python has begun. An instance has to get back. */
  } while (!call->is_done && reason != BATCH && reason != ARROW && call->instance != 0);
  if (!call->is_done) {
    call->failed = 1;
    D.duckdb_scalar_function_set_error(call->info, process.interrupted);
  }
  free(scratch);
}

/* For Python: put the results of a call into DuckDB's vector; 0 if one isn't of the type. */
EXPORT int32_t native_put(struct call *call, const uint8_t *validity, const void *data, const int32_t *offsets) {
  struct values values = {validity, data, offsets};
  return values_put(call->result, (uint64_t)call->rows, &values, call->output);
}

EXPORT void native_set_error(struct call *call, const char *message) {
  D.duckdb_scalar_function_set_error(call->info, message);
}

/* ---- a call of a guest
 * --------------------------------------------------------------------------------------------------- */

/* Have Python run a batch with a type that C doesn't know: DuckDB makes Arrow arrays of it, as for Python. */
static void run_arrow(struct batch *batch, void *input) {
  struct arrow_struct schema = {0}, array = {0};
  struct call *call = &batch->call;
  const char *wrong = arrow_export(call->info, batch->function, input, &schema, &array);
  if (wrong != NULL) {
    D.duckdb_scalar_function_set_error(call->info, wrong);
    return;
  }
  call->schema = &schema;
  call->array = &array;
  ask_python(batch, ARROW);
  arrow_release(&schema, &array); /* unless Python has taken them */
}

/* Count the rows of compiled code; return whether Python has to decide anew: Compilation.count. */
static bool count_compiled(struct pool *pool, const struct counts *counts, int64_t rows) {
  enum verdict verdict = NONE;
  lock(&pool->lock);
  if (!pool->is_compiled) {
    unlock(&pool->lock);
    return false;
  }
  pool->compiled_rows += counts->compiled;
  pool->bailed_rows += counts->bailed;
  if (counts->compiled == 0 && counts->bailed == 0) {
    if (rows != 0) verdict = CHANGED;
  } else if (!pool->is_fixed) {
    pool->judged_rows += rows;
    pool->judged_bailed += rows - counts->compiled;
    if (pool->judged_rows >= 8 * 2048) {
      if (pool->judged_bailed * 10 > pool->judged_rows * 3) verdict = TOO_MANY;
      pool->judged_rows = pool->judged_bailed = 0;
    }
  }
  if (verdict != NONE) pool->verdict = (int32_t)verdict;
  unlock(&pool->lock);
  return verdict != NONE;
}

/* Read the result of a call, and release the instance, or have Python do either. */
static void finish(struct batch *batch, struct pool *pool, struct instance *instance) {
  struct call *call = &batch->call;
  uint64_t size = W.wasmtime_memory_data_size(instance->context, instance->memory), rows = (uint64_t)call->rows;
  if (call->trap != NULL || call->error != NULL || call->status != 0) {
    ask_python(batch, FAILED);
    return;
  }
  const uint8_t *memory = W.wasmtime_memory_data(instance->context, instance->memory);
  struct counts counts;
  bool printed = instance->has_output && has_printed(instance->output, memory, size);
  if (!result_read(call->result, rows, memory, size, instance->result, pool->gate->result_bytes, call->output,
                   &counts)) {
    ask_python(batch, RESULT);
    return;
  }
  if (counts.failed != 0) {
    lock(&pool->budget->lock);
    pool->budget->failed_rows += counts.failed;
    unlock(&pool->budget->lock);
  }
  bool decide = count_compiled(pool, &counts, call->rows);
  if (decide || printed || instance->adopted || size != instance->memory_bytes || !pool_give(pool, instance)) {
    ask_python(batch, RETURNED);
  }
}

/* Run a batch in a guest; false if it is Python's. */
static bool run(struct batch *batch, struct pool *pool) {
  struct call *call = &batch->call;
  struct gate *gate = pool->gate;
  const struct column *columns = batch->columns + batch->first;
  int32_t n = call->n_arguments - batch->first;
  uint64_t rows = (uint64_t)call->rows, values_bytes;
  uint64_t bytes = batch_bytes(columns, n, rows, &values_bytes);
  if (values_bytes > gate->most_bytes || 20 * rows > gate->most_bytes) return false; /* may have to be cut in pieces */
  for (int32_t i = 0; i < n && pool->by_batch; i++) {
    if (columns[i].validity != NULL && !columns[i].type.sees_null) return false;
  }
  struct instance *instance = pool_take(pool);
  if (instance == NULL) return false;
  uint64_t size = W.wasmtime_memory_data_size(instance->context, instance->memory);
  if (bytes > instance->arena_bytes || (uint64_t)instance->arena + bytes > size || instance->arena % 64 != 0) {
    goto to_python;
  }
  if (!call_begin(pool, instance, call, batch->began)) goto to_python;
  batch_write(columns, n, rows, W.wasmtime_memory_data(instance->context, instance->memory), instance->arena);
  call_guest(instance, call, 1);
  size = W.wasmtime_memory_data_size(instance->context, instance->memory);
  finish(batch, pool, instance); /* afterwards the instance may be gone */
  budget_end(pool->budget, batch->began, seconds_now(), call, size);
  return true;
to_python:
  call->instance = instance->number;
  if (!pool_give(pool, instance)) ask_python(batch, RETURNED);
  return false;
}

/* What DuckDB calls. It has flattened the vectors. */
static void execute(void *info, void *input, void *output) {
  struct batch batch;
  struct function *function = batch.function = D.duckdb_scalar_function_get_extra_info(info);
  struct type types[MOST_ARGUMENTS];
  const struct type *arguments = function->arguments;
  int32_t n = function->n_arguments;
  struct origin origin = origin_of(info, function->database);
  batch.began = seconds_now();
  batch.first = 0;
  batch.call = (struct call){
      .function = function->number,
      .n_arguments = n,
      .rows = (int64_t)D.duckdb_data_chunk_get_size(input),
      .rows_before = -1,
      .info = info,
      .output = output,
      .result = &function->result,
      .owner = function,
      .connection = origin.connection,
      .begun = origin.begun,
  };
  if (function->is_inline) {
    batch.first = 1;
    batch.call.n_arguments = n = inline_types(info, input, types);
    if (n == 0) {
      run_arrow(&batch, input);
      return;
    }
    arguments = types;
  }
  for (int32_t i = 0; i < n; i++) {
    void *vector = D.duckdb_data_chunk_get_vector(input, (uint64_t)i);
    if (!column_read(&batch.columns[i], &arguments[i], vector, (uint64_t)batch.call.rows)) {
      D.duckdb_scalar_function_set_error(info, "the texts of one batch take 2 GiB or more");
      return;
    }
  }
  struct pool *pool = function->is_inline ? inline_pool(function, batch.columns, n, (uint64_t)batch.call.rows)
                                          : atomic_load(&function->pool);
  bool done = false;
  if (pool != NULL && gate_enter(pool->gate)) {
    done = run(&batch, pool);
    gate_leave();
  }
  if (pool != NULL && function->is_inline) pool_release(pool);
  if (!done) ask_python(&batch, BATCH);
}

/* ---- registering ----------------------------------------------------------------------------------------------- */

static void *logical_type(const struct type *type) {
  if (type->id == DECIMAL) return D.duckdb_create_decimal_type(type->width, type->scale);
  void *made = D.duckdb_create_logical_type(type->id);
  if (type->json) D.duckdb_logical_type_set_alias(made, "JSON");
  return made;
}

/* Register a function through a connection, which takes it; false if DuckDB refuses. */
bool function_register(void *connection, void *database, const char *name, struct function *function,
                       bool is_volatile) {
  function->database = database;
  void *made = D.duckdb_create_scalar_function();
  D.duckdb_scalar_function_set_name(made, name);
  for (int32_t i = 0; i < function->n_arguments; i++) {
    void *type = logical_type(&function->arguments[i]);
    D.duckdb_scalar_function_add_parameter(made, type);
    D.duckdb_destroy_logical_type(&type);
  }
  if (function->is_inline) {
    void *any = D.duckdb_create_logical_type(ANY);
    D.duckdb_scalar_function_add_parameter(made, any); /* DuckDB's Python client has it so: equal ones are replaced */
    D.duckdb_scalar_function_set_varargs(made, any);
    D.duckdb_destroy_logical_type(&any);
  }
  void *type = logical_type(&function->result);
  D.duckdb_scalar_function_set_return_type(made, type);
  D.duckdb_destroy_logical_type(&type);
  D.duckdb_scalar_function_set_extra_info(made, function, function_free);
  D.duckdb_scalar_function_set_function(made, execute);
  D.duckdb_scalar_function_set_init(made, function->is_inline ? inline_start : remember_origin);
  D.duckdb_scalar_function_set_special_handling(made);
  if (is_volatile) D.duckdb_scalar_function_set_volatile(made);
  int32_t state = D.duckdb_register_scalar_function(connection, made);
  D.duckdb_destroy_scalar_function(&made); /* which frees the function if DuckDB hasn't kept it */
  return state == 0;
}
