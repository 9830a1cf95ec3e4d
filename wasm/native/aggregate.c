/* Aggregate functions: what DuckDB calls for the rows of groups, and how they are registered. */
#include "aggregate.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "columns.h"

static const char *const OUT_OF_MEMORY = "out of memory";
static const char *const RELEASED =
    "rows of an aggregate function were released before their query had ended; run the query itself, not EXECUTE";

/* ---- Python ------------------------------------------------------------------------------------------------------ */

static int32_t (*_Atomic python)(void *); /* set anew for each function, while others run */

EXPORT void native_aggregate_set_python(int32_t (*function)(void *)) { atomic_store(&python, function); }

EXPORT void native_aggregate_set_error(struct aggregate_call *call, const char *message) {
  D.duckdb_aggregate_function_set_error(call->info, message);
}

/* For Python: put results into DuckDB's vector; 0 if one isn't of the type. */
EXPORT int32_t native_aggregate_put(struct aggregate_call *call, const uint8_t *validity, const void *data,
                                    const int32_t *offsets) {
  struct values values = {validity, data, offsets};
  if (call->output == NULL) return 0;
  call->is_put = values_put(call->native, (uint64_t)call->rows, &values, call->output);
  return call->is_put;
}

/* Have Python do something; false if that failed, and DuckDB knows why. */
bool aggregate_ask(struct aggregate_call *call) {
  if (atomic_load(&process.leaving)) {
    D.duckdb_aggregate_function_set_error(call->info, process.closed);
    return false;
  }
  call->is_done = 0;
  python_call(atomic_load(&python), call);
  if (!call->is_done) { /* the handler of a signal has raised before Python began */
    D.duckdb_aggregate_function_set_error(call->info, process.interrupted);
    return false;
  }
  return !call->failed;
}

/* Ask whether the groups of a function may hold what they do; false if not. */
static bool may_hold(void *info, const struct aggregate *function, struct group *largest) {
  uint64_t now;
  bool is_much = held_much(&now);
  if (is_much) collector_advance(function->collector);
  if (!is_much && largest == NULL) return true;
  struct aggregate_call call = {.reason = CHECK,
                                .function = function->number,
                                .begun = UINT64_MAX,
                                .held_bytes = is_much ? now : 0,
                                .info = info};
  if (largest != NULL) {
    call.group_bytes = largest->least_bytes;
    largest->checked = (uint32_t)(largest->least_bytes / CHECK_BYTES);
  }
  return aggregate_ask(&call);
}

static bool is_unchecked(const struct group *group) { return group->least_bytes / CHECK_BYTES > group->checked; }

/* ---- what DuckDB calls ------------------------------------------------------------------------------------------- */

static uint64_t state_size(void *info) { return (void)info, sizeof(struct state); }

static void init(void *info, void *state) {
  (void)info, *(struct state *)state = (struct state){.begun = cancels_now()};
}

/* Return when the query of some states began, as a number of cancels: none of them is older than that. */
uint64_t begun_of(void **states, uint64_t n) {
  uint64_t begun = UINT64_MAX;
  for (uint64_t i = 0; i < n; i++) {
    const struct state *state = states[i];
    if (state->begun < begun) begun = state->begun;
  }
  return begun;
}

/* Return whether the query of some states is cancelled, which DuckDB knows then, or Python couldn't be asked. */
static bool is_cancelled(void *info, struct aggregate *function, void **states, uint64_t n) {
  struct aggregate_call call = {.reason = CHECK, .function = function->number, .begun = UINT64_MAX, .info = info};
  uint64_t now = cancels_now();
  if (atomic_load(&function->cancels) != now) {
    if (!aggregate_ask(&call)) return true;
    atomic_store(&function->cancelled, call.cancelled);
    atomic_store(&function->cancels, now); /* last, for other threads */
  }
  uint64_t cancelled = atomic_load(&function->cancelled);
  if (cancelled == 0) return false;
  call.begun = begun_of(states, n);
  return call.begun < cancelled && !aggregate_ask(&call);
}

/* Have a state without a group have one; what is wrong, or NULL. */
static const char *no_group(struct state *state, struct new_groups *made) {
  if (state->group != NULL) return RELEASED;
  return group_make(state, made) ? NULL : OUT_OF_MEMORY;
}

/* Rows by which groups are fetched into the processor's caches before they are used. */
#define AHEAD 8

/* Have the processor fetch the groups of later rows: first a group, then the place of its next value. */
static void fetch_groups(void **states, uint64_t row, uint64_t rows) {
  if (row + 2 * AHEAD >= rows) return;
  const struct group *later = ((const struct state *)states[row + 2 * AHEAD])->group;
  const struct group *soon = group_of(states[row + AHEAD]);
  if (later != NULL) __builtin_prefetch(later, 1);
  if (soon != NULL) __builtin_prefetch(&soon->words[soon->n_words], 1);
}

/* Rows in turn of one group that are worth a copy of the batch. */
#define LEAST_RUN 8

/* Rows of a call of DuckDB's, which go into groups. */
struct rows {
  void *input;
  struct aggregate *function;
  void **states;
  uint64_t n;
  const union string *codes; /* of an inline function */
  const uint64_t *validity;  /* of these */
  bool is_plain;
  struct plain plain;
  struct kept *batch; /* a copy, once one is needed */
  int64_t references; /* to that */
};

static void read_rows(struct rows *rows, void *info, void *input, void **states) {
  struct aggregate *function = D.duckdb_aggregate_function_get_extra_info(info);
  *rows = (struct rows){.input = input, .function = function, .states = states};
  rows->n = D.duckdb_data_chunk_get_size(input);
  rows->is_plain = plain_read(&rows->plain, input, function->is_inline, function->n_columns);
  if (!function->is_inline) return;
  void *vector = D.duckdb_data_chunk_get_vector(input, 0);
  rows->codes = D.duckdb_vector_get_data(vector);
  rows->validity = D.duckdb_vector_get_validity(vector);
}

/* Return the number of rows from one on that are of the same group, with the same source text: enough to decide. */
static uint32_t run_of(const struct rows *rows, uint32_t row) {
  uint32_t end = row + 1;
  while (end < rows->n && rows->states[end] == rows->states[row]) {
    if (rows->codes != NULL && !is_valid(rows->validity, end)) break;
    if (rows->codes != NULL && memcmp(&rows->codes[end], &rows->codes[row], sizeof *rows->codes) != 0) break;
    end++;
  }
  return end - row;
}

/* Add rows from one on to a group; return their number, or 0 if there is no memory. */
static uint32_t add_rows(struct rows *rows, struct group *group, uint32_t row) {
  uint64_t words[2 * PLAIN_COLUMNS];
  uint32_t n = run_of(rows, row);
  if (n < LEAST_RUN) {
    n = 1;
    enum plain_kind kind = rows->is_plain ? plain_row(&rows->plain, row, words) : SPAN;
    if (kind != SPAN) return group_add_plain(group, &rows->plain, kind, words);
  }
  if (rows->batch == NULL) {
    const struct aggregate *function = rows->function;
    rows->batch = kept_new(rows->input, function->is_inline, function->n_columns, (uint32_t)rows->n);
  }
  return rows->batch != NULL && group_add(group, rows->batch, row, n, &rows->references) ? n : 0;
}

static void update_groups(void *info, void *input, void **states) {
  struct rows rows;
  struct group *largest = NULL;
  struct code *code = NULL;
  read_rows(&rows, info, input, states);
  if (rows.n == 0 || is_cancelled(info, rows.function, states, rows.n)) return;
  struct new_groups made = {.collector = rows.function->collector};
  const char *wrong = rows.n > MOST_ROWS ? OUT_OF_MEMORY : NULL;
  for (uint32_t row = 0, n = 1; row < rows.n && wrong == NULL; row += n, n = 1) {
    fetch_groups(states, row, rows.n);
    if (!is_valid(rows.validity, row)) continue; /* NULL instead of a function: so is its result */
    struct group *group = group_of(states[row]);
    if (group == NULL) {
      wrong = no_group(states[row], &made);
      if (wrong != NULL) break;
      group = group_of(states[row]);
    }
    n = add_rows(&rows, group, row);
    if (n == 0) {
      wrong = OUT_OF_MEMORY;
    } else if (rows.codes != NULL) {
      uint32_t bytes = rows.codes[row].short_one.length;
      const char *text = bytes <= MOST_INLINED ? rows.codes[row].short_one.bytes : rows.codes[row].long_one.pointer;
      wrong = group_take_code(group, text, bytes, &code);
    }
    if (is_unchecked(group) && (largest == NULL || group->least_bytes > largest->least_bytes)) largest = group;
  }
  groups_begin(&made);
  if (rows.batch != NULL) {
    kept_hold(rows.batch, rows.references);
    kept_release(rows.batch);
  }
  if (wrong != NULL) {
    D.duckdb_aggregate_function_set_error(info, wrong);
    return;
  }
  may_hold(info, rows.function, largest);
}

/* Add the rows of groups to others. The former stay as they are: DuckDB's windows use both further. */
static void combine_groups(void *info, void **sources, void **targets, uint64_t n) {
  struct aggregate *function = D.duckdb_aggregate_function_get_extra_info(info);
  struct new_groups made = {.collector = function->collector};
  struct group *largest = NULL;
  const char *wrong = NULL;
  if (is_cancelled(info, function, sources, n)) return;
  for (uint64_t i = 0; i < n && wrong == NULL; i++) {
    const struct state *state = sources[i];
    if (i + AHEAD < n && ((const struct state *)sources[i + AHEAD])->group != NULL) {
      const struct group *later = ((const struct state *)sources[i + AHEAD])->group;
      __builtin_prefetch(later);
      __builtin_prefetch(later->few);
      __builtin_prefetch(&later->few[8]); /* and what type they are of */
    }
    if (state->group == NULL) continue;
    const struct group *source = group_of(sources[i]);
    struct group *target = group_of(targets[i]);
    if (target == NULL) {
      wrong = source == NULL ? RELEASED : no_group(targets[i], &made);
      target = group_of(targets[i]);
    }
    if (wrong != NULL || source == NULL) {
      wrong = wrong == NULL ? RELEASED : wrong;
      break;
    }
    struct code *last = source->code;
    if (!group_append(target, source)) {
      wrong = OUT_OF_MEMORY;
    } else if (source->code != NULL) {
      wrong = group_take_code(target, source->code->text, source->code->bytes, &last);
    }
    if (wrong == NULL && is_unchecked(target) && (largest == NULL || target->least_bytes > largest->least_bytes)) {
      largest = target;
    }
  }
  groups_begin(&made);
  if (wrong != NULL) {
    D.duckdb_aggregate_function_set_error(info, wrong);
    return;
  }
  may_hold(info, function, largest);
}

static void update(void *info, void *input, void **states) {
  callback_enter();
  update_groups(info, input, states);
  callback_leave();
}

static void combine(void *info, void **sources, void **targets, uint64_t n) {
  callback_enter();
  combine_groups(info, sources, targets, n);
  callback_leave();
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static void aggregate_free(void *extra) {
  struct aggregate *function = extra;
  for (int32_t i = 0; i < function->n_columns && function->types != NULL; i++) {
    if (function->types[i] != NULL) D.duckdb_destroy_logical_type(&function->types[i]);
  }
  collector_release(function->collector);
  free(function->types);
  free(function->result);
  free(function);
}

/* Return the type of a SQL expression, to be destroyed; NULL if DuckDB knows no such type. */
static void *type_of(void *connection, const char *expression) {
  struct result result;
  void *type = NULL;
  if (D.duckdb_query(connection, expression, &result) == 0) type = D.duckdb_column_logical_type(&result, 0);
  D.duckdb_destroy_result(&result);
  return type;
}

/* Return an overload for a number of columns, to be destroyed; NULL if there is no memory. */
static void *overload(struct collector *collector, void *database, const struct aggregate_definition *definition,
                      int32_t n, void **types, void *result) {
  struct aggregate *function = calloc(1, sizeof *function);
  if (function == NULL) return NULL;
  void *made = D.duckdb_create_aggregate_function(), *any = D.duckdb_create_logical_type(ANY);
  void *text = D.duckdb_create_logical_type(VARCHAR);
  function->number = definition->number;
  function->database = database;
  function->is_inline = definition->is_inline;
  function->n_columns = n;
  function->types = types;
  function->collector = collector;
  collector_hold(collector);
  function->result = strdup(definition->result);
  function->native = definition->native;
  D.duckdb_aggregate_function_set_name(made, definition->name);
  if (definition->is_inline) D.duckdb_aggregate_function_add_parameter(made, text);
  for (int32_t i = 0; i < n; i++) D.duckdb_aggregate_function_add_parameter(made, types == NULL ? any : types[i]);
  D.duckdb_aggregate_function_set_return_type(made, result);
  D.duckdb_aggregate_function_set_functions(made, state_size, init, update, combine, aggregate_finalize);
  D.duckdb_aggregate_function_set_destructor(made, groups_free);
  D.duckdb_aggregate_function_set_special_handling(made);
  D.duckdb_aggregate_function_set_extra_info(made, function, aggregate_free);
  D.duckdb_destroy_logical_type(&any);
  D.duckdb_destroy_logical_type(&text);
  return made;
}

/* Register a function through a connection; false if DuckDB refuses. */
bool aggregate_register(void *connection, void *database, const struct aggregate_definition *definition) {
  int32_t least = definition->n_types < 0 ? 1 : definition->n_types;
  int32_t most = definition->n_types < 0 ? MOST_COLUMNS : definition->n_types;
  void **types = NULL, *result = type_of(connection, definition->result_query);
  struct collector *collector = collector_new(database, connection);
  bool known = result != NULL && collector != NULL;
  if (definition->n_types >= 0) {
    types = calloc((size_t)most + 1, sizeof *types);
    known = known && types != NULL;
    for (int32_t i = 0; i < most && known; i++) {
      types[i] = type_of(connection, definition->type_queries[i]);
      known = types[i] != NULL;
    }
  }
  void *set = D.duckdb_create_aggregate_function_set(definition->name);
  for (int32_t n = least; n <= most && known; n++) { /* version 1 of the API has no variable number of parameters */
    void *made = overload(collector, database, definition, n, types, result);
    known = made != NULL && D.duckdb_add_aggregate_function_to_set(set, made) == 0;
    if (made == NULL) break;
    D.duckdb_destroy_aggregate_function(&made); /* the set has a copy */
    types = NULL;                               /* the function's now */
  }
  bool done = known && D.duckdb_register_aggregate_function_set(connection, set) == 0;
  D.duckdb_destroy_aggregate_function_set(&set);
  for (int32_t i = 0; types != NULL && i < most; i++) {
    if (types[i] != NULL) D.duckdb_destroy_logical_type(&types[i]);
  }
  free(types);
  if (result != NULL) D.duckdb_destroy_logical_type(&result);
  if (collector != NULL) collector_release(collector);
  return done;
}
