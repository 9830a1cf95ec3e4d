/* The tables of functions, and DuckDB's databases: how C gets a connection of one.
 *
 * DuckDB calls a statically linked extension for every database that is opened, with a handle that is valid for that
 * moment only. The extension registers one SQL function, through which Python reaches C while a query holds the
 * database open. There a connection is made, used and closed: one that is kept would keep the database open.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate.h"
#include "api.h"
#include "calls.h"
#include "function.h"
#include "table.h"

struct duckdb_functions D;
struct wasmtime_functions W;
struct python_functions P;

#define NAME(result, name, parameters) #name,
EXPORT const char *const native_duckdb_names[] = {DUCKDB_FUNCTIONS(NAME) NULL};
EXPORT const char *const native_wasmtime_names[] = {WASMTIME_FUNCTIONS(NAME) NULL};
EXPORT const char *const native_python_names[] = {PYTHON_FUNCTIONS(NAME) NULL};
#undef NAME
EXPORT void **native_duckdb_table(void) { return (void **)&D; }
EXPORT void **native_wasmtime_table(void) { return (void **)&W; }
EXPORT void **native_python_table(void) { return (void **)&P; }

bool function_register(void *connection, void *database, const char *name, struct function *function, bool is_volatile);

/* What is to be registered by the query whose argument is the token: once. Python holds a lock meanwhile. */
static struct {
  _Atomic(uint64_t) token;
  const char *const *names;
  struct function *const *functions;
  int32_t n, is_volatile, done;
  const struct aggregate_definition *aggregate; /* NULL: scalar functions */
} pending;

/* The names end in this address, so that they are no other copy's: DuckDB opens no database if two extensions have one
 * name. */
static char extension_name[64], function_name[64];

/* Sizes of the structs that Python knows, or of their part that it knows: layouts.py is compared with them. */
EXPORT const uint32_t native_layout[] = {
    sizeof(struct type),
    sizeof(struct argument),
    sizeof(struct call),
    sizeof(struct running),
    offsetof(struct gate, running),
    sizeof(struct budget),
    offsetof(struct pool, compiled_rows),
    sizeof(struct instance),
    sizeof(struct aggregate_definition),
    sizeof(struct aggregate_call),
    sizeof(struct table_call),
    sizeof(struct table_parameter),
    sizeof(struct table_form),
};

/* ---- connections
 * ----------------------------------------------------------------------------------------------------------- */

/* In C++, a duckdb_database points to { shared_ptr<DuckDB> }, a DuckDB is { shared_ptr<DatabaseInstance> }, and a
 * shared_ptr is two pointers: one without an owner is valid. `duckdb_connect` only reads them. `native_self_test` finds
 * out whether that holds, and Python uses tested versions of DuckDB only. */
struct shared {
  void *pointer, *owner;
};

int32_t connect_to(void *instance, void **connection) {
  struct shared duckdb = {instance, NULL}, wrapper = {&duckdb, NULL};
  return D.duckdb_connect(&wrapper, connection);
}

void *instance_of(void *database) {
  struct shared duckdb, wrapper;
  memcpy(&wrapper, database, sizeof wrapper);
  memcpy(&duckdb, wrapper.pointer, sizeof duckdb);
  return duckdb.pointer;
}

/* Have a thread's state of the calls of a function for a query say where they come from. */
void remember_origin(void *info) {
  void *context = NULL;
  struct origin *origin = calloc(1, sizeof *origin);
  if (origin == NULL) return;
  D.duckdb_scalar_function_init_get_client_context(info, &context);
  if (context == NULL) return free(origin);
  origin->connection = D.duckdb_client_context_get_connection_id(context) + 1;
  origin->begun = cancels_now();
  D.duckdb_destroy_client_context(&context);
  D.duckdb_scalar_function_init_set_state(info, origin, free);
}

/* Return where a call of a function comes from, with a number of the connection that no other connection of any
 * database has. */
struct origin origin_of(void *info, void *database) {
  const struct origin *state = D.duckdb_scalar_function_get_state(info); /* or a struct that begins with one */
  struct origin origin = state == NULL ? (struct origin){0, UINT64_MAX} : *state;
  origin.connection ^= (uint64_t)(uintptr_t)database << 16;
  return origin;
}

/* wasi_udf_register_...(token): register what is pending; 1 if that was done. The token 0 is for the number of the
 * connection. */
static void execute_register(void *info, void *input, void *output) {
  uint64_t *tokens = D.duckdb_vector_get_data(D.duckdb_data_chunk_get_vector(input, 0));
  uint64_t rows = D.duckdb_data_chunk_get_size(input), token = rows == 1 ? tokens[0] : 0;
  uint64_t *results = D.duckdb_vector_get_data(output);
  void *database = D.duckdb_scalar_function_get_extra_info(info), *connection;
  for (uint64_t row = 0; row < rows; row++) results[row] = origin_of(info, database).connection;
  if (token == 0) return;
  results[0] = 0;
  if (!atomic_compare_exchange_strong(&pending.token, &token, 0)) return;
  if (connect_to(database, &connection) != 0) return;
  pending.done = 1; /* DuckDB frees the function, whether it keeps it or not */
  results[0] = pending.aggregate == NULL || aggregate_register(connection, database, pending.aggregate);
  for (int32_t i = 0; i < pending.n; i++) {
    results[0] &= function_register(connection, database, pending.names[i], pending.functions[i], pending.is_volatile);
  }
  D.duckdb_disconnect(&connection);
  results[0] &= tables_register(database);
}

/* Have the next query with the token register functions; `native_registered` has to follow. */
EXPORT void native_expect(uint64_t token, const char *const *names, struct function *const *functions, int32_t n,
                          int32_t is_volatile) {
  pending.names = names;
  pending.functions = functions;
  pending.n = n;
  pending.is_volatile = is_volatile;
  pending.done = 0;
  pending.aggregate = NULL;
  atomic_store(&pending.token, token);
}

/* Likewise an aggregate function. */
EXPORT void native_expect_aggregate(uint64_t token, const struct aggregate_definition *definition) {
  native_expect(token, NULL, NULL, 0, 0);
  atomic_store(&pending.token, 0);
  pending.aggregate = definition;
  atomic_store(&pending.token, token);
}

/* Have that query register table functions as well. */
EXPORT void native_expect_tables(const struct table_form *forms, int32_t n) { tables_expect(forms, n); }

/* Return whether DuckDB has got the function. */
EXPORT int32_t native_registered(void) {
  tables_expect(NULL, 0);
  atomic_store(&pending.token, 0);
  return pending.done;
}

/* ---- databases
 * ------------------------------------------------------------------------------------------------------------- */

static int32_t register_helper(void *connection, void *instance) {
  void *function = D.duckdb_create_scalar_function();
  void *token = D.duckdb_create_logical_type(UBIGINT), *result = D.duckdb_create_logical_type(UBIGINT);
  D.duckdb_scalar_function_set_name(function, function_name);
  D.duckdb_scalar_function_add_parameter(function, token);
  D.duckdb_scalar_function_set_return_type(function, result);
  D.duckdb_scalar_function_set_extra_info(function, instance, NULL);
  D.duckdb_scalar_function_set_function(function, execute_register);
  D.duckdb_scalar_function_set_init(function, remember_origin);
  D.duckdb_scalar_function_set_volatile(function);
  int32_t state = D.duckdb_register_scalar_function(connection, function);
  D.duckdb_destroy_logical_type(&token);
  D.duckdb_destroy_logical_type(&result);
  D.duckdb_destroy_scalar_function(&function);
  return state;
}

/* DuckDB calls this for each database that is opened. A failure here would keep the user from opening it, so there is
 * none: a database without the function has today's path. */
static bool start(void *info, struct extension_access *access) {
  void **database = access->get_database(info), *connection;
  if (database == NULL || D.duckdb_connect(*database, &connection) != 0) return true;
  register_helper(connection, instance_of(*database));
  D.duckdb_disconnect(&connection);
  return true;
}

static int32_t describe(struct extension_descriptor *descriptor) {
  descriptor->version = 1; /* the lowest layout there is */
  descriptor->name = extension_name;
  descriptor->extension_version = "1";
  descriptor->api_version = "v1.5.6";
  descriptor->entry_capi_v1 = (void (*)(void))start;
  return 0;
}

/* Have DuckDB know the library in each database that is opened from now on; 0, or what DuckDB returned. */
EXPORT int32_t native_register_extension(void) {
  snprintf(extension_name, sizeof extension_name, "wasi_udf_%" PRIxPTR, (uintptr_t)describe);
  snprintf(function_name, sizeof function_name, "wasi_udf_register_%" PRIxPTR, (uintptr_t)describe);
  return D.duckdb_register_static_extension(describe);
}

EXPORT const char *native_function_name(void) { return function_name; }

/* Return 0 if a connection can be made of a database as `connect_to` does it; otherwise the number of what failed. */
EXPORT int32_t native_self_test(void) {
  void *database, *connection;
  if (D.duckdb_open(":memory:", &database) != 0) return 1;
  int32_t failed = 0;
  if (D.duckdb_connect(database, &connection) != 0) {
    failed = 2;
  } else {
    D.duckdb_disconnect(&connection);
    if (connect_to(instance_of(database), &connection) != 0) {
      failed = 3;
    } else {
      D.duckdb_disconnect(&connection);
    }
  }
  D.duckdb_close(&database);
  return failed;
}
