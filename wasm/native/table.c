/* Table functions: DuckDB asks Python for columns when a query is bound. What it does while the query runs is in
 * scan.c.
 *
 * What belongs to a call of a function, and to a scan of that, is kept by Python under a number. DuckDB frees the
 * numbers, whatever becomes of the query.
 */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "calls.h"
#include "columns.h"
#include "function.h"

struct duckdb_v2_functions V;

#define NAME(result, name, parameters) #name,
EXPORT const char *const native_duckdb_v2_names[] = {DUCKDB_V2_FUNCTIONS(NAME) NULL};
#undef NAME
EXPORT void **native_duckdb_v2_table(void) { return (void **)&V; }

struct table {
  int64_t number;
  void *database; /* DatabaseInstance, as a part of a connection's number */
};

static struct text text_of(const char *bytes) { return (struct text){bytes, strlen(bytes)}; }

/* ---- Python ------------------------------------------------------------------------------------------------------ */

void table_set_error(void **error, int32_t code, const char *message) {
  struct text text = text_of(message);
  if (error == NULL || *error == NULL) return;
  V.duckdb_v2_error_info_set_code(*error, code);
  V.duckdb_v2_error_info_set_text(*error, &text);
}

/* For Python: have a call fail, with one of DuckDB's codes. */
EXPORT void native_table_error(struct table_call *call, int32_t code, const char *message) {
  call->failed = 1;
  table_set_error(call->error, code, message);
}

/* Have Python do something; return whether it has. */
bool table_ask(struct table_call *call, void **error) {
  bool must = call->reason == TABLE_END || call->reason == TABLE_FREE;
  call->error = error;
  call->is_done = call->failed = 0;
  if (atomic_load(&process.leaving)) {
    table_set_error(error, ERROR_INPUT_INVALID, process.closed);
    return false;
  }
  do { /* the handler of a signal can raise before Python has begun */
    python_call(process.python, (void *)call);
    if (call->step != NULL) must = call->step->instance != 0; /* Python doesn't have it yet */
  } while (must && !call->is_done);
  if (!call->is_done) table_set_error(error, ERROR_INPUT_INVALID, process.interrupted);
  return call->is_done && !call->failed;
}

/* ---- bind -------------------------------------------------------------------------------------------------------- */

/* Return a number of the connection that binds a query, as origin_of does. In C++ a context of version 2 has a
 * reference to the ClientContext behind its virtual table, and one of version 1 is nothing but that. The self-test
 * finds out whether that holds. */
static uint64_t key_of(void *context, void *database) {
  struct {
    void *methods, *client;
  } parts;
  memcpy(&parts, context, sizeof parts);
  return ((uint64_t)(uintptr_t)database << 16) ^ (D.duckdb_client_context_get_connection_id(&parts.client) + 1);
}

/* Make Arrow structs of values, a column of one row for each. */
static bool values_export(void *context, uint64_t n, void *const *values, void *const *types, const struct text *names,
                          struct table_call *call, void **error) {
  void *factory, *chunk = NULL, *vector, *exporter = NULL;
  bool done = V.duckdb_v2_context_get_factory(context, &factory, error) == 0 &&
              V.duckdb_v2_data_chunk_create(factory, types, n, &chunk, error) == 0;
  for (uint64_t i = 0; done && i < n; i++) {
    done = V.duckdb_v2_data_chunk_get_vector(chunk, i, &vector, error) == 0 &&
           V.duckdb_v2_vector_make_constant(vector, values[i], 1, error) == 0;
  }
  done = done && V.duckdb_v2_arrow_exporter_create(context, types, names, n, 0, &exporter, error) == 0 &&
         V.duckdb_v2_arrow_exporter_get_schema(exporter, call->schema, error) == 0 &&
         V.duckdb_v2_arrow_exporter_append(exporter, &chunk, false, true, error) == 0 &&
         V.duckdb_v2_arrow_exporter_next_array(exporter, call->array, error) == 0;
  V.duckdb_v2_arrow_exporter_destroy(&exporter);
  V.duckdb_v2_data_chunk_destroy(&chunk);
  return done;
}

/* Make Arrow structs of the arguments; nothing if there are none. */
static bool arguments_export(void *info, void *context, struct table_call *call, void **error) {
  uint64_t fixed, args, named, kwargs;
  if (V.duckdb_v2_function_bind_get_arg_count(info, &fixed, &args, &named, &kwargs, error) != 0) return false;
  uint64_t n = fixed + args + named + kwargs;
  call->n = (int32_t)n;
  if (n == 0) return true;
  void **values = calloc(n, sizeof *values), **types = calloc(n, sizeof *types);
  struct text *names = calloc(n, sizeof *names);
  bool done = values != NULL && types != NULL && names != NULL;
  if (!done) table_set_error(error, ERROR_INPUT_INVALID, "out of memory");
  for (uint64_t i = 0; done && i < n; i++) {
    done = V.duckdb_v2_function_bind_get_arg_value(info, i, &values[i], error) == 0 &&
           V.duckdb_v2_value_get_logical_type(values[i], &types[i], error) == 0 &&
           V.duckdb_v2_function_bind_get_arg_name(info, i, &names[i], error) == 0;
  }
  done = done && values_export(context, n, values, types, names, call, error);
  for (uint64_t i = 0; i < n; i++) {
    if (values != NULL) V.duckdb_v2_value_destroy(&values[i]);
    if (types != NULL) V.duckdb_v2_logical_type_destroy(&types[i]);
  }
  free(values);
  free(types);
  free(names);
  return done;
}

/* For Python: declare the columns of a call, whose Arrow schema is in it. A column without a type has that which DuckDB
 * makes of its Arrow type. */
EXPORT int32_t native_table_columns(struct table_call *call, const char *const *names, const char *const *types,
                                    uint64_t n) {
  void *factory, *importer = NULL, *schema = NULL, **error = call->error;
  struct text ignored;
  bool done = V.duckdb_v2_context_get_factory(call->context, &factory, error) == 0 &&
              V.duckdb_v2_arrow_importer_create(call->context, call->schema, VECTOR_ROWS, &importer, error) == 0 &&
              V.duckdb_v2_arrow_importer_get_schema(importer, &schema, error) == 0;
  for (uint64_t i = 0; done && i < n; i++) {
    void *type = NULL;
    struct text name = text_of(names[i]), text = text_of(types[i] == NULL ? "" : types[i]);
    done = types[i] == NULL ? V.duckdb_v2_schema_get_field(schema, i, &ignored, &type, error) == 0
                            : V.duckdb_v2_factory_create_type_from_text(factory, &text, &type, error) == 0;
    done = done && V.duckdb_v2_table_function_bind_add_result_column(call->result, &name, type, error) == 0;
    if (types[i] != NULL) V.duckdb_v2_logical_type_destroy(&type);
  }
  V.duckdb_v2_schema_destroy(&schema);
  V.duckdb_v2_arrow_importer_destroy(&importer);
  call->failed = !done;
  return done;
}

static void bound_free(void *data) {
  struct bound *bound = data;
  struct table_call call = {.reason = TABLE_FREE, .bound = bound->number};
  table_ask(&call, NULL);
  free(bound);
}

static void bind(void *info, void *result, void *context, void **error) {
  struct arrow_struct schema = {0}, array = {0};
  struct table *table;
  if (V.duckdb_v2_function_bind_get_user_data(info, (void **)&table, error) != 0) return;
  struct bound *bound = malloc(sizeof *bound);
  if (bound == NULL) return table_set_error(error, ERROR_INPUT_INVALID, "out of memory");
  struct table_call call = {
      .reason = TABLE_BIND,
      .table = table->number,
      .connection = key_of(context, table->database),
      .schema = &schema,
      .array = &array,
      .result = result,
      .context = context,
      .cardinality = -1,
  };
  bool done = arguments_export(info, context, &call, error) && table_ask(&call, error);
  arrow_release(&schema, &array);
  if (!done) return free(bound);
  *bound = (struct bound){call.bound, call.cardinality, call.connection};
  struct owned owned = {bound, bound_free, NULL};
  if (V.duckdb_v2_function_bind_set_bind_data(info, &owned, error) != 0) return bound_free(bound);
  if (bound->cardinality >= 0) {
    V.duckdb_v2_table_function_bind_set_cardinality(result, (uint64_t)bound->cardinality, false, error);
  }
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static struct {
  const struct table_form *forms;
  int32_t n;
} pending;

void tables_expect(const struct table_form *forms, int32_t n) {
  pending.forms = forms;
  pending.n = n;
}

static bool add_parameter(void *factory, void *signature, const struct table_parameter *parameter) {
  const int32_t any = 3; /* DUCKDB_V2_LOGICAL_TYPE_ID_ANY */
  void *type = NULL;
  struct text name = text_of(parameter->name), text = text_of(parameter->type == NULL ? "" : parameter->type);
  bool done = parameter->type == NULL
                  ? V.duckdb_v2_factory_create_type_from_id(factory, any, NULL, NULL, 0, &type, NULL) == 0
                  : V.duckdb_v2_factory_create_type_from_text(factory, &text, &type, NULL) == 0;
  done = done && V.duckdb_v2_function_signature_add_parameter(signature, &name, type, NULL, parameter->kind, NULL) == 0;
  V.duckdb_v2_logical_type_destroy(&type);
  return done;
}

static bool form_register(void *connection, void *database, const struct table_form *form) {
  void *factory, *function = NULL, *signature = NULL;
  struct table *table = malloc(sizeof *table);
  if (table == NULL) return false;
  *table = (struct table){form->table, database};
  struct owned owned = {table, free, NULL};
  struct text name = text_of(form->name);
  if (V.duckdb_v2_connection_get_factory(connection, &factory, NULL) != 0 ||
      V.duckdb_v2_table_function_create(factory, &function, NULL) != 0 ||
      V.duckdb_v2_table_function_set_user_data(function, &owned, NULL) != 0) {
    free(table);
    V.duckdb_v2_table_function_destroy(&function);
    return false;
  }
  bool done = V.duckdb_v2_table_function_set_name(function, &name, NULL) == 0 &&
              V.duckdb_v2_table_function_get_signature(function, &signature, NULL) == 0;
  for (int32_t i = 0; done && i < form->n; i++) done = add_parameter(factory, signature, &form->parameters[i]);
  done = done && V.duckdb_v2_table_function_set_bind_callback(function, bind, NULL) == 0 &&
         V.duckdb_v2_table_function_set_init_global_callback(function, scan_init, NULL) == 0 &&
         V.duckdb_v2_table_function_set_exec_callback(function, scan_execute, NULL) == 0 &&
         V.duckdb_v2_table_function_set_progress_callback(function, scan_progress, NULL) == 0 &&
         V.duckdb_v2_table_function_set_projection_pushdown(function, true, NULL) == 0 &&
         V.duckdb_v2_connection_register_table_function(connection, function, NULL) == 0;
  V.duckdb_v2_table_function_destroy(&function); /* DuckDB has a copy */
  return done;
}

/* In C++, an instance of version 2 begins like a database of version 1: see connect_to in library.c. */
static bool connect_v2(void *database, void **connection) {
  struct {
    void *pointer, *owner;
  } duckdb = {database, NULL}, wrapper = {&duckdb, NULL};
  return V.duckdb_v2_connection_create(&wrapper, connection, NULL) == 0;
}

/* Register what is expected; return whether DuckDB has taken all of it. */
bool tables_register(void *database) {
  void *connection = NULL;
  if (pending.n == 0) return true;
  bool done = connect_v2(database, &connection);
  for (int32_t i = 0; done && i < pending.n; i++) done = form_register(connection, database, &pending.forms[i]);
  V.duckdb_v2_connection_destroy(&connection);
  return done;
}

/* ---- self-test --------------------------------------------------------------------------------------------------- */

static _Atomic(uint64_t) probed;

static void probe([[maybe_unused]] void *info, [[maybe_unused]] void *result, void *context, void **error) {
  atomic_store(&probed, key_of(context, NULL));
  table_set_error(error, ERROR_INPUT_INVALID, "the self-test needs no rows");
}

static bool probe_register(void *database) {
  void *connection = NULL, *factory, *function = NULL;
  struct text name = text_of("wasi_udf_probe");
  bool done = connect_v2(database, &connection) &&
              V.duckdb_v2_connection_get_factory(connection, &factory, NULL) == 0 &&
              V.duckdb_v2_table_function_create(factory, &function, NULL) == 0 &&
              V.duckdb_v2_table_function_set_name(function, &name, NULL) == 0 &&
              V.duckdb_v2_table_function_set_bind_callback(function, probe, NULL) == 0 &&
              V.duckdb_v2_table_function_set_exec_callback(function, scan_execute, NULL) == 0 &&
              V.duckdb_v2_connection_register_table_function(connection, function, NULL) == 0;
  V.duckdb_v2_table_function_destroy(&function);
  V.duckdb_v2_connection_destroy(&connection);
  return done;
}

/* Return 0 if table functions can be registered, and their connections be distinguished, in a database of its own. */
EXPORT int32_t native_table_self_test(void) {
  void *database, *connection = NULL, *context = NULL;
  if (D.duckdb_open(":memory:", &database) != 0) return 1;
  int32_t failed = 0;
  if (D.duckdb_connect(database, &connection) != 0) {
    failed = 2;
  } else if (!probe_register(instance_of(database))) {
    failed = 3;
  } else {
    D.duckdb_query(connection, "FROM wasi_udf_probe()", NULL); /* which fails */
    D.duckdb_connection_get_client_context(connection, &context);
    uint64_t number = context == NULL ? 0 : D.duckdb_client_context_get_connection_id(context) + 1;
    if (context != NULL) D.duckdb_destroy_client_context(&context);
    if (number == 0 || atomic_load(&probed) != number) failed = 4;
  }
  if (connection != NULL) D.duckdb_disconnect(&connection);
  D.duckdb_close(&database);
  return failed;
}
