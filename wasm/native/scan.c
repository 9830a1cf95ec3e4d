/* Scans of table functions: DuckDB asks for rows while a query runs.
 *
 * Python begins a scan and runs its first step. Where all columns are of types that C knows, it lends the instance that
 * the scan has, and C runs the steps to come: it calls the guest and reads the rows into DuckDB's vectors. All other
 * steps are Python's, which has the rows as Arrow arrays, checked. DuckDB makes vectors of them without copying.
 */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "calls.h"
#include "columns.h"
#include "function.h"
#include "table.h"

struct scan {
  int64_t number, cardinality;
  uint64_t connection, begun; /* begun: the number of the last cancel at that time */
  _Atomic(uint64_t) rows;     /* so far, for the progress and for errors */
  void *importer;             /* once there were rows of Python's */
  uint64_t left;              /* rows that are in it */
  struct pool *pool;          /* of the scan's instance, once that was lent */
  struct step_columns columns;
  struct type *types;
  uint64_t *order;
  uint64_t n, wanted[]; /* columns of the output */
};

/* What DuckDB wants of a step. */
struct step {
  struct scan *scan;
  void *context, *output, **error;
};

static void scan_free(void *data) {
  struct scan *scan = data;
  struct table_call call = {.reason = TABLE_END, .scan = scan->number};
  V.duckdb_v2_arrow_importer_destroy(&scan->importer);
  table_ask(&call, NULL);
  if (scan->pool != NULL) pool_release(scan->pool);
  free(scan->types);
  free(scan->order);
  free(scan);
}

/* Keep what Python says of the columns, if C may run steps: it knows all of them, and each is wanted once at most. */
static void keep_columns(struct scan *scan, const struct table_call *call) {
  uint64_t n = call->n_columns, rest = scan->n;
  if (call->types == NULL || n < scan->n) return;
  bool *is_wanted = calloc(n, sizeof *is_wanted);
  scan->types = calloc(n, sizeof *scan->types);
  scan->order = calloc(n, sizeof *scan->order);
  bool good = is_wanted != NULL && scan->types != NULL && scan->order != NULL;
  for (uint64_t i = 0; good && i < scan->n; i++) {
    uint64_t column = scan->order[i] = scan->wanted[i];
    good = column < n && !is_wanted[column];
    if (good) is_wanted[column] = true;
  }
  for (uint64_t column = 0; good && column < n; column++) {
    if (!is_wanted[column]) scan->order[rest++] = column;
  }
  free(is_wanted);
  if (!good) return;
  memcpy(scan->types, call->types, n * sizeof *scan->types);
  scan->columns = (struct step_columns){n, scan->n, call->is_row != 0, scan->types, scan->order};
}

void scan_init(void *info, [[maybe_unused]] void *context, void **error) {
  struct bound *bound;
  uint64_t n;
  if (V.duckdb_v2_table_function_init_global_get_bind_data(info, (void **)&bound, error) != 0) return;
  if (V.duckdb_v2_table_function_init_global_get_column_count(info, &n, error) != 0) return;
  struct scan *scan = calloc(1, sizeof *scan + n * sizeof *scan->wanted);
  if (scan == NULL) return table_set_error(error, ERROR_INPUT_INVALID, "out of memory");
  scan->n = n;
  for (uint64_t i = 0; i < n; i++) {
    if (V.duckdb_v2_table_function_init_global_get_column_index(info, i, &scan->wanted[i], error) != 0) {
      return free(scan);
    }
  }
  struct table_call call = {
      .reason = TABLE_SCAN,
      .bound = bound->number,
      .connection = bound->connection,
      .wanted = scan->wanted,
      .n = (int32_t)n,
  };
  if (!table_ask(&call, error)) return free(scan);
  scan->number = call.scan;
  scan->begun = cancels_now();
  scan->cardinality = bound->cardinality;
  scan->connection = bound->connection;
  keep_columns(scan, &call);
  struct owned owned = {scan, scan_free, NULL};
  if (V.duckdb_v2_table_function_init_global_set_global_state(info, &owned, error) != 0) scan_free(scan);
}

/* ---- rows of Python's -------------------------------------------------------------------------------------------- */

/* Take the next rows that Python has handed over, at once or before; it may have been more than a vector takes. */
static bool take_chunk(const struct step *step, struct arrow_struct *schema, struct arrow_struct *array, void **chunk) {
  struct scan *scan = step->scan;
  void **error = step->error;
  bool done = true;
  if (array->words[ARRAY_RELEASE] != 0) {
    uint64_t rows = array->words[0];
    if (scan->importer == NULL) {
      done = V.duckdb_v2_arrow_importer_create(step->context, schema, VECTOR_ROWS, &scan->importer, error) == 0;
    }
    done = done && V.duckdb_v2_arrow_importer_append(scan->importer, array, true, true, error) == 0;
    if (done) scan->left += rows;
  }
  if (!done || scan->importer == NULL) return done;
  if (V.duckdb_v2_arrow_importer_next_chunk(scan->importer, chunk, error) != 0) return false;
  uint64_t rows = *chunk == NULL ? scan->left : D.duckdb_data_chunk_get_size(*chunk);
  scan->left -= rows < scan->left ? rows : scan->left;
  return true;
}

/* Put rows of Python's into DuckDB's vectors; `array` has none if they were handed over before. */
static bool put_chunk(const struct step *step, struct arrow_struct *schema, struct arrow_struct *array) {
  void *chunk = NULL, *factory, **error = step->error;
  bool done =
      V.duckdb_v2_context_get_factory(step->context, &factory, error) == 0 && take_chunk(step, schema, array, &chunk);
  if (!done || chunk == NULL) return done;
  for (uint64_t i = 0; done && i < step->scan->n; i++) {
    void *from, *to;
    done = V.duckdb_v2_data_chunk_get_vector(chunk, i, &from, error) == 0 &&
           V.duckdb_v2_data_chunk_get_vector(step->output, i, &to, error) == 0 &&
           (V.duckdb_v2_vector_reference(to, from, NULL) == 0 || /* unless the type is another one */
            V.duckdb_v2_vector_cast(factory, from, to, 0, NULL, NULL, error) == 0);
  }
  atomic_fetch_add(&step->scan->rows, D.duckdb_data_chunk_get_size(chunk));
  V.duckdb_v2_data_chunk_destroy(&chunk);
  return done;
}

/* Have Python run a step. It lends the instance of the scan for those to come, if it may. */
static void run_in_python(const struct step *step) {
  struct scan *scan = step->scan;
  struct arrow_struct schema = {0}, array = {0};
  struct table_call call = {
      .reason = TABLE_NEXT,
      .scan = scan->number,
      .connection = scan->connection,
      .schema = &schema,
      .array = &array,
      .rows = (int64_t)atomic_load(&scan->rows),
      .lends = scan->columns.n != 0,
  };
  if (table_ask(&call, step->error)) {
    if (scan->pool == NULL && call.pool != NULL) {
      scan->pool = call.pool;
      atomic_fetch_add(&scan->pool->references, 1);
    }
    put_chunk(step, &schema, &array);
  }
  arrow_release(&schema, &array); /* but for what DuckDB has taken */
}

/* ---- rows of C's ------------------------------------------------------------------------------------------------- */

/* Have Python do what is left of a step, and lend the instance again. */
static void hand_over(const struct step *step, struct call *call, enum reason reason) {
  struct arrow_struct schema = {0}, array = {0};
  call->reason = (int32_t)reason;
  struct table_call asked = {
      .reason = TABLE_STEPPED,
      .scan = step->scan->number,
      .connection = step->scan->connection,
      .schema = &schema,
      .array = &array,
      .step = call,
  };
  call->failed = !table_ask(&asked, step->error);
  if (!call->failed && reason == RESULT && array.words[ARRAY_RELEASE] != 0) put_chunk(step, &schema, &array);
  arrow_release(&schema, &array);
}

/* Read the rows of a step, and keep the instance for the next one, or have Python do either. */
static void finish(const struct step *step, struct pool *pool, struct instance *instance, struct call *call) {
  uint64_t size = W.wasmtime_memory_data_size(instance->context, instance->memory), rows;
  if (call->trap != NULL || call->error != NULL || call->status != 0) return hand_over(step, call, FAILED);
  const uint8_t *memory = W.wasmtime_memory_data(instance->context, instance->memory);
  bool printed = instance->has_output && has_printed(instance->output, memory, size);
  if (!step_read(&step->scan->columns, memory, size, instance->result, pool->gate->result_bytes, step->output, &rows)) {
    return hand_over(step, call, RESULT);
  }
  call->rows = (int64_t)rows;
  if (call->stopped || printed || instance->adopted || size != instance->memory_bytes || !pool_keep(pool, instance)) {
    hand_over(step, call, RETURNED);
  }
  if (call->failed) return;
  D.duckdb_data_chunk_set_size(step->output, rows);
  atomic_fetch_add(&step->scan->rows, rows);
}

/* Run a step without Python; false if it is Python's. */
static bool run(const struct step *step, struct pool *pool) {
  struct call call = {.rows_before = (int64_t)atomic_load(&step->scan->rows), .begun = step->scan->begun};
  struct instance *instance = pool_take(pool);
  double began = seconds_now();
  if (instance == NULL) return false;
  call.instance = instance->number;
  if (!call_begin(pool, instance, &call, began)) {
    if (!pool_keep(pool, instance)) hand_over(step, &call, RETURNED);
    return call.failed != 0;
  }
  call_guest(instance, &call, 0);
  uint64_t size = W.wasmtime_memory_data_size(instance->context, instance->memory);
  finish(step, pool, instance, &call); /* afterwards the instance may be gone */
  budget_end(pool->budget, began, seconds_now(), &call, size);
  return true;
}

/* What DuckDB calls for each vector of rows; none ends the scan. */
void scan_execute(void *info, void *context, void **error) {
  struct step step = {.context = context, .error = error};
  if (V.duckdb_v2_table_function_exec_get_global_state(info, (void **)&step.scan, error) != 0) return;
  if (V.duckdb_v2_table_function_exec_get_output_chunk(info, &step.output, error) != 0) return;
  struct scan *scan = step.scan;
  if (scan->left != 0) {
    struct arrow_struct none = {0};
    put_chunk(&step, &none, &none);
    return;
  }
  bool done = false;
  if (scan->pool != NULL && gate_enter(scan->pool->gate)) {
    done = run(&step, scan->pool);
    gate_leave();
  }
  if (!done) run_in_python(&step);
}

void scan_progress(void *info, [[maybe_unused]] void *context, void **error) {
  struct scan *scan = NULL;
  V.duckdb_v2_table_function_progress_get_global_state(info, (void **)&scan, error);
  if (scan == NULL || scan->cardinality <= 0) return;
  double done = (double)atomic_load(&scan->rows) / (double)scan->cardinality;
  V.duckdb_v2_table_function_progress_set_progress(info, done < 1 ? done : 1, error);
}
