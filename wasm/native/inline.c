/* Inline functions: any number of arguments of any types, behind the source text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "function.h"

/* The settings of the user's connection that decide how DuckDB makes Arrow arrays, the one that makes views first. */
static const char *const SETTINGS[] = {
    "arrow_output_version",    "produce_arrow_string_view", "arrow_lossless_conversion",
    "arrow_large_buffer_size", "arrow_output_list_view",    "TimeZone",
};
#define N_SETTINGS (sizeof SETTINGS / sizeof *SETTINGS)

/* What a thread has for the time of a query. */
struct thread {
  struct origin origin; /* first: see origin_of */
  char *settings[N_SETTINGS];
  bool makes_views;
  void *own, *options; /* a connection, and what it holds; once there was a type that C doesn't know */
};

static void thread_free(void *state) {
  struct thread *thread = state;
  if (thread->options != NULL) D.duckdb_destroy_arrow_options(&thread->options);
  if (thread->own != NULL) D.duckdb_disconnect(&thread->own);
  for (size_t i = 0; i < N_SETTINGS; i++) {
    if (thread->settings[i] != NULL) D.duckdb_free(thread->settings[i]);
  }
  free(thread);
}

/* DuckDB calls this on each thread of a query. */
void inline_start(void *info) {
  void *context = NULL;
  D.duckdb_scalar_function_init_get_client_context(info, &context);
  if (context == NULL) return;
  struct thread *thread = calloc(1, sizeof *thread);
  if (thread == NULL) return D.duckdb_destroy_client_context(&context);
  thread->origin.connection = D.duckdb_client_context_get_connection_id(context) + 1;
  thread->origin.begun = cancels_now();
  for (size_t i = 0; i < N_SETTINGS; i++) {
    int32_t scope = 0;
    void *value = D.duckdb_client_context_get_config_option(context, SETTINGS[i], &scope);
    if (value == NULL) continue;
    thread->settings[i] = D.duckdb_get_varchar(value);
    D.duckdb_destroy_value(&value);
  }
  D.duckdb_destroy_client_context(&context);
  const char *version = thread->settings[0];
  thread->makes_views = version == NULL || strcmp(version, "1.0") != 0;
  D.duckdb_scalar_function_init_set_state(info, thread, thread_free);
}

/* ---- types ------------------------------------------------------------------------------------------------------- */

/* Read a vector's type; false if C doesn't know it. */
static bool type_read(void *vector, struct type *type) {
  void *logical = D.duckdb_vector_get_column_type(vector);
  char *alias = D.duckdb_logical_type_get_alias(logical); /* JSON, or a type of the user's */
  bool known = alias == NULL;
  if (alias != NULL) D.duckdb_free(alias);
  *type = (struct type){.id = D.duckdb_get_type_id(logical)};
  switch (type->id) {
    case DECIMAL:
      type->width = D.duckdb_decimal_width(logical);
      type->scale = D.duckdb_decimal_scale(logical);
      known &= type->width <= 18;
      break;
    case VARCHAR:
    case BLOB:
    case TIMESTAMP_S:
    case TIMESTAMP_MS:
    case TIMESTAMP_NS:
    case TIMESTAMP_TZ:
      break;
    default:
      known &= type->id >= BOOLEAN && type->id <= TIME;
  }
  D.duckdb_destroy_logical_type(&logical);
  return known;
}

/* Read the types of a batch; return their number, or 0 if C doesn't know all of them. */
int32_t inline_types(void *info, void *input, struct type *types) {
  struct thread *thread = D.duckdb_scalar_function_get_state(info);
  uint64_t n = D.duckdb_data_chunk_get_column_count(input);
  if (thread == NULL || thread->makes_views || n < 2 || n > MOST_ARGUMENTS) return 0;
  for (uint64_t i = 0; i < n; i++) {
    if (!type_read(D.duckdb_data_chunk_get_vector(input, i), &types[i])) return 0;
  }
  return types[0].id == VARCHAR ? (int32_t)n : 0;
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

/* Return whether a source text is the same in all rows, and which. */
static bool one_text(const struct column *column, uint64_t rows, const char **text, uint32_t *bytes) {
  const union string *strings = column->data;
  if (column->validity != NULL || rows == 0) return false;
  *bytes = strings[0].short_one.length;
  *text = *bytes <= MOST_INLINED ? strings[0].short_one.bytes : strings[0].long_one.pointer;
  for (uint64_t row = 1; row < rows; row++) { /* a constant that DuckDB has flattened is the same 16 bytes */
    if (memcmp(&strings[row], &strings[0], sizeof *strings) != 0) return false;
  }
  return true;
}

static bool fits(const struct use *use, const struct column *columns, int32_t n) {
  if (use->n != n) return false;
  for (int32_t i = 0; i < n; i++) {
    const struct type *known = &use->types[i], *type = &columns[i].type;
    if (known->id != type->id || known->width != type->width || known->scale != type->scale) return false;
  }
  return true;
}

/* Return the pool for a batch, to be released; NULL if Python has found none. */
struct pool *inline_pool(struct function *function, const struct column *columns, int32_t n, uint64_t rows) {
  const char *text;
  uint32_t bytes;
  struct pool *pool = NULL;
  if (!one_text(&columns[0], rows, &text, &bytes)) return NULL;
  lock(&function->lock);
  for (int32_t i = 0; i < function->n_uses && pool == NULL; i++) {
    const struct use *use = &function->uses[i];
    if (use->code_bytes != bytes || !fits(use, columns + 1, n - 1) || memcmp(use->code, text, bytes) != 0) continue;
    pool = use->pool;
    atomic_fetch_add(&pool->references, 1);
  }
  unlock(&function->lock);
  return pool;
}

/* ---- Arrow ------------------------------------------------------------------------------------------------------- */

/* Make a connection with the settings of the user's, for as long as the thread works for the query. */
static bool connect_own(struct thread *thread, void *database) {
  if (thread->options != NULL) return true;
  if (thread->own == NULL && connect_to(database, &thread->own) != 0) return false;
  for (size_t i = 0; i < N_SETTINGS; i++) {
    char query[256];
    const char *value = thread->settings[i];
    if (value == NULL || strchr(value, '\'') != NULL) continue;
    snprintf(query, sizeof query, "SET SESSION %s = '%s'", SETTINGS[i], value);
    D.duckdb_query(thread->own, query, NULL); /* one that this DuckDB doesn't have is no matter */
  }
  D.duckdb_connection_get_arrow_options(thread->own, &thread->options);
  return thread->options != NULL;
}

static void release(struct arrow_struct *arrow, int place) {
  void (*function)(struct arrow_struct *) = (void (*)(struct arrow_struct *))(uintptr_t)arrow->words[place];
  if (function != NULL) function(arrow);
}

/* Free Arrow structs that nobody has taken: whoever takes them marks them as released. */
void arrow_release(struct arrow_struct *schema, struct arrow_struct *array) {
  release(schema, SCHEMA_RELEASE);
  release(array, ARRAY_RELEASE);
}

/* Make Arrow structs of a batch, which Python releases; what is wrong, or NULL. */
const char *arrow_export(void *info, struct function *function, void *input, struct arrow_struct *schema,
                         struct arrow_struct *array) {
  struct thread *thread = D.duckdb_scalar_function_get_state(info);
  uint64_t n = D.duckdb_data_chunk_get_column_count(input);
  if (thread == NULL || !connect_own(thread, function->database)) return "no connection could be made";
  void **types = calloc(n + 1, sizeof *types);
  const char **names = calloc(n + 1, sizeof *names);
  void *error = NULL;
  const char *wrong = types == NULL || names == NULL ? "out of memory" : NULL;
  for (uint64_t i = 0; i < n && wrong == NULL; i++) {
    types[i] = D.duckdb_vector_get_column_type(D.duckdb_data_chunk_get_vector(input, i));
    names[i] = "c";
  }
  if (wrong == NULL) error = D.duckdb_to_arrow_schema(thread->options, types, names, n, schema);
  if (wrong == NULL && error == NULL) error = D.duckdb_data_chunk_to_arrow(thread->options, input, array);
  if (error != NULL) {
    wrong = "DuckDB could not make Arrow arrays of the arguments";
    D.duckdb_destroy_error_data(&error);
    arrow_release(schema, array);
  }
  for (uint64_t i = 0; i < n && types != NULL; i++) {
    if (types[i] != NULL) D.duckdb_destroy_logical_type(&types[i]);
  }
  free(types);
  free(names);
  return wrong;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

/* Make a function; `n` is -1 for an inline one. */
EXPORT struct function *native_function_new(int64_t number, const struct type *types, int32_t n, struct type result) {
  struct function *function = calloc(1, sizeof *function);
  if (function == NULL || n > MOST_ARGUMENTS) return free(function), NULL;
  function->number = number;
  function->is_inline = n < 0;
  function->n_arguments = n < 0 ? 0 : n;
  if (n > 0) memcpy(function->arguments, types, sizeof *types * (size_t)n);
  function->result = result;
  return function;
}

static void use_free(struct use *use) {
  pool_release(use->pool);
  free(use->code);
}

/* Have a function use a pool from now on for these arguments, and for a source text if it is inline. */
EXPORT int32_t native_function_use(struct function *function, struct pool *pool, const struct type *types, int32_t n,
                                   const char *code, uint32_t code_bytes) {
  struct use use = {.pool = pool, .n = n, .code = malloc(code_bytes + 1), .code_bytes = code_bytes}, old = {0};
  if (n > MOST_ARGUMENTS || use.code == NULL) return free(use.code), 0;
  memcpy(use.code, code, code_bytes);
  memcpy(use.types, types, sizeof *types * (size_t)n);
  bool known = false, kept = false;
  lock(&function->lock);
  for (int32_t i = 0; i < function->n_uses; i++) known |= function->uses[i].pool == pool;
  if (!known) {
    if (function->n_uses < MOST_POOLS) {
      function->uses[function->n_uses++] = use;
      kept = true;
    } else if (function->is_inline) { /* the oldest: calls that use its pool have references of their own */
      old = function->uses[function->next_use];
      function->uses[function->next_use] = use;
      function->next_use = (function->next_use + 1) % MOST_POOLS;
      kept = true;
    }
    if (kept) atomic_fetch_add(&pool->references, 1);
  }
  if (!function->is_inline && (known || kept)) atomic_store(&function->pool, pool);
  unlock(&function->lock);
  if (!kept) free(use.code);
  if (old.pool != NULL) use_free(&old);
  return 1;
}

void function_free(void *extra) {
  struct function *function = extra;
  for (int32_t i = 0; i < function->n_uses; i++) use_free(&function->uses[i]);
  free(function);
}

/* Free a function that DuckDB hasn't got. */
EXPORT void native_function_free(struct function *function) { function_free(function); }
