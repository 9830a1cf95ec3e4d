/* The C functions of DuckDB and wasmtime that the library uses, under prototypes of its own.
 *
 * Nothing is linked: Python looks the names up in the wheels that are loaded, and fills the tables D and W. Of DuckDB's
 * API there are only functions of version 1, which are stable, and duckdb_register_static_extension. Handles are
 * pointers, so they are `void *` here. https://duckdb.org/docs/stable/clients/c/api, https://docs.wasmtime.dev/c-api/
 */
#ifndef NATIVE_API_H
#define NATIVE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* duckdb_type, as far as values of it pass through here */
enum type_id {
  BOOLEAN = 1,
  TINYINT,
  SMALLINT,
  INTEGER,
  BIGINT,
  UTINYINT,
  USMALLINT,
  UINTEGER,
  UBIGINT,
  FLOAT,
  DOUBLE,
  TIMESTAMP,
  DATE,
  TIME,
  VARCHAR = 17,
  BLOB = 18,
  DECIMAL = 19,
  TIMESTAMP_S = 20,
  TIMESTAMP_MS = 21,
  TIMESTAMP_NS = 22,
  LIST = 24,
  STRUCT = 25,
  MAP = 26,
  UNION = 28,
  BIT = 29,
  TIMESTAMP_TZ = 31,
  ARRAY = 33,
  ANY = 34,
  BIGNUM = 35,
  SQLNULL = 36,
  VARIANT = 41,
};

/* duckdb_string_t */
union string {
  struct {
    uint32_t length;
    char prefix[4];
    char *pointer;
  } long_one;
  struct {
    uint32_t length;
    char bytes[12];
  } short_one;
};
#define MOST_INLINED 12

struct extension_descriptor { /* layout 1 of what DuckDB offers */
  uint32_t version;
  void (*set_error)(struct extension_descriptor *, const char *);
  void *internal;
  const char *name, *extension_version, *api_version;
  void (*entry_cpp)(void);
  void (*entry_capi_v1)(void);
  void (*entry_capi_v2)(void);
};

struct extension_access {
  void (*set_error)(void *info, const char *);
  void **(*get_database)(void *info);
  const void *(*get_api)(void *info, const char *);
};

/* duckdb_result, which is passed by value too */
struct result {
  uint64_t columns, rows, changed;
  void *names;
  char *error;
  void *internal;
};

typedef void (*scalar_function)(void *info, void *input, void *output);

#define DUCKDB_FUNCTIONS(X)                                                                                           \
  X(int32_t, duckdb_register_static_extension, (int32_t (*describe)(struct extension_descriptor *)))                  \
  X(int32_t, duckdb_open, (const char *path, void **database))                                                        \
  X(void, duckdb_close, (void **database))                                                                            \
  X(int32_t, duckdb_connect, (void *database, void **connection))                                                     \
  X(void, duckdb_disconnect, (void **connection))                                                                     \
  X(void *, duckdb_create_logical_type, (int32_t id))                                                                 \
  X(void *, duckdb_create_decimal_type, (uint8_t width, uint8_t scale))                                               \
  X(void, duckdb_destroy_logical_type, (void **type))                                                                 \
  X(void, duckdb_logical_type_set_alias, (void *type, const char *alias))                                             \
  X(int32_t, duckdb_get_type_id, (void *type))                                                                        \
  X(uint8_t, duckdb_decimal_width, (void *type))                                                                      \
  X(uint8_t, duckdb_decimal_scale, (void *type))                                                                      \
  X(void *, duckdb_create_scalar_function, (void))                                                                    \
  X(void, duckdb_destroy_scalar_function, (void **function))                                                          \
  X(void, duckdb_scalar_function_set_name, (void *function, const char *name))                                        \
  X(void, duckdb_scalar_function_add_parameter, (void *function, void *type))                                         \
  X(void, duckdb_scalar_function_set_return_type, (void *function, void *type))                                       \
  X(void, duckdb_scalar_function_set_special_handling, (void *function))                                              \
  X(void, duckdb_scalar_function_set_volatile, (void *function))                                                      \
  X(void, duckdb_scalar_function_set_extra_info, (void *function, void *extra, void (*destroy)(void *)))              \
  X(void, duckdb_scalar_function_set_function, (void *function, scalar_function run))                                 \
  X(void, duckdb_scalar_function_set_init, (void *function, void (*init)(void *info)))                                \
  X(void, duckdb_scalar_function_init_get_client_context, (void *info, void **context))                               \
  X(void, duckdb_scalar_function_init_set_state, (void *info, void *state, void (*destroy)(void *)))                  \
  X(void *, duckdb_scalar_function_get_state, (void *info))                                                           \
  X(void, duckdb_connection_get_client_context, (void *connection, void **context))                                   \
  X(uint64_t, duckdb_client_context_get_connection_id, (void *context))                                               \
  X(void, duckdb_destroy_client_context, (void **context))                                                            \
  X(void, duckdb_scalar_function_set_varargs, (void *function, void *type))                                           \
  X(void *, duckdb_scalar_function_init_get_extra_info, (void *info))                                                 \
  X(void *, duckdb_vector_get_column_type, (void *vector))                                                            \
  X(char *, duckdb_logical_type_get_alias, (void *type))                                                              \
  X(void *, duckdb_client_context_get_config_option, (void *context, const char *name, int32_t *scope))               \
  X(char *, duckdb_get_varchar, (void *value))                                                                        \
  X(void, duckdb_destroy_value, (void **value))                                                                       \
  X(void, duckdb_free, (void *memory))                                                                                \
  X(int32_t, duckdb_query, (void *connection, const char *query, void *result))                                       \
  X(void, duckdb_connection_get_arrow_options, (void *connection, void **options))                                    \
  X(void, duckdb_destroy_arrow_options, (void **options))                                                             \
  X(void *, duckdb_to_arrow_schema, (void *options, void **types, const char **names, uint64_t n, void *schema))      \
  X(void *, duckdb_data_chunk_to_arrow, (void *options, void *chunk, void *array))                                    \
  X(void, duckdb_destroy_error_data, (void **error))                                                                  \
  X(int32_t, duckdb_register_scalar_function, (void *connection, void *function))                                     \
  X(void *, duckdb_scalar_function_get_extra_info, (void *info))                                                      \
  X(void, duckdb_scalar_function_set_error, (void *info, const char *message))                                        \
  X(uint64_t, duckdb_data_chunk_get_size, (void *chunk))                                                              \
  X(uint64_t, duckdb_data_chunk_get_column_count, (void *chunk))                                                      \
  X(void *, duckdb_data_chunk_get_vector, (void *chunk, uint64_t column))                                             \
  X(void *, duckdb_vector_get_data, (void *vector))                                                                   \
  X(uint64_t *, duckdb_vector_get_validity, (void *vector))                                                           \
  X(void, duckdb_vector_ensure_validity_writable, (void *vector))                                                     \
  X(void, duckdb_unsafe_vector_assign_string_element_len, (void *vector, uint64_t row, const char *, uint64_t))       \
  X(void *, duckdb_create_aggregate_function, (void))                                                                 \
  X(void, duckdb_destroy_aggregate_function, (void **function))                                                       \
  X(void, duckdb_aggregate_function_set_name, (void *function, const char *name))                                     \
  X(void, duckdb_aggregate_function_add_parameter, (void *function, void *type))                                      \
  X(void, duckdb_aggregate_function_set_return_type, (void *function, void *type))                                    \
  X(void, duckdb_aggregate_function_set_functions,                                                                    \
    (void *function, uint64_t (*size)(void *), void (*init)(void *, void *), void (*update)(void *, void *, void **), \
     void (*combine)(void *, void **, void **, uint64_t),                                                             \
     void (*finalize)(void *, void **, void *, uint64_t, uint64_t)))                                                  \
  X(void, duckdb_aggregate_function_set_destructor, (void *function, void (*destroy)(void **, uint64_t)))             \
  X(void, duckdb_aggregate_function_set_special_handling, (void *function))                                           \
  X(void, duckdb_aggregate_function_set_extra_info, (void *function, void *extra, void (*destroy)(void *)))           \
  X(void *, duckdb_aggregate_function_get_extra_info, (void *info))                                                   \
  X(void, duckdb_aggregate_function_set_error, (void *info, const char *message))                                     \
  X(void *, duckdb_create_aggregate_function_set, (const char *name))                                                 \
  X(void, duckdb_destroy_aggregate_function_set, (void **set))                                                        \
  X(int32_t, duckdb_add_aggregate_function_to_set, (void *set, void *function))                                       \
  X(int32_t, duckdb_register_aggregate_function_set, (void *connection, void *set))                                   \
  X(void *, duckdb_create_vector, (void *type, uint64_t capacity))                                                    \
  X(void, duckdb_destroy_vector, (void **vector))                                                                     \
  X(void *, duckdb_create_selection_vector, (uint64_t size))                                                          \
  X(void, duckdb_destroy_selection_vector, (void *selection))                                                         \
  X(uint32_t *, duckdb_selection_vector_get_data_ptr, (void *selection))                                              \
  X(void, duckdb_vector_copy_sel,                                                                                     \
    (void *from, void *to, void *selection, uint64_t n, uint64_t offset, uint64_t to_offset))                         \
  X(void *, duckdb_create_list_type, (void *type))                                                                    \
  X(void *, duckdb_create_data_chunk, (void **types, uint64_t n))                                                     \
  X(void, duckdb_destroy_data_chunk, (void **chunk))                                                                  \
  X(void, duckdb_data_chunk_set_size, (void *chunk, uint64_t size))                                                   \
  X(void *, duckdb_list_vector_get_child, (void *vector))                                                             \
  X(uint64_t, duckdb_list_vector_get_size, (void *vector))                                                            \
  X(int32_t, duckdb_list_vector_reserve, (void *vector, uint64_t capacity))                                           \
  X(int32_t, duckdb_list_vector_set_size, (void *vector, uint64_t size))                                              \
  X(void *, duckdb_struct_vector_get_child, (void *vector, uint64_t child))                                           \
  X(void *, duckdb_array_vector_get_child, (void *vector))                                                            \
  X(uint64_t, duckdb_array_type_array_size, (void *type))                                                             \
  X(uint64_t, duckdb_struct_type_child_count, (void *type))                                                           \
  X(uint64_t, duckdb_union_type_member_count, (void *type))                                                           \
  X(void, duckdb_validity_set_row_invalid, (uint64_t *validity, uint64_t row))                                        \
  X(int32_t, duckdb_arrow_array_scan, (void *connection, const char *name, void *schema, void *array, void **stream)) \
  X(void, duckdb_destroy_arrow_stream, (void **stream))                                                               \
  X(void *, duckdb_fetch_chunk, (struct result result))                                                               \
  X(void, duckdb_destroy_result, (struct result * result))                                                            \
  X(const char *, duckdb_result_error, (struct result * result))                                                      \
  X(void *, duckdb_column_logical_type, (struct result * result, uint64_t column))

#define WASMTIME_FUNCTIONS(X)                                                                                         \
  X(void *, wasmtime_func_call_async,                                                                                 \
    (void *context, const void *function, const void *arguments, size_t n_arguments, void *results, size_t n_results, \
     void **trap, void **error))                                                                                      \
  X(bool, wasmtime_call_future_poll, (void *future))                                                                  \
  X(void, wasmtime_call_future_delete, (void *future))                                                                \
  X(uint8_t *, wasmtime_memory_data, (void *context, const void *memory))                                             \
  X(size_t, wasmtime_memory_data_size, (void *context, const void *memory))                                           \
  X(void, wasmtime_context_set_epoch_deadline, (void *context, uint64_t ticks))

/* Of version 2 of DuckDB's API, which isn't stable: what table functions need. Version 1 has no overloads, defaults or
 * names that aren't declared for them, and no casts. Vectors are the same objects in both versions. All functions
 * return 0, or the code of an error that they have put into the slot. */
struct text {
  const char *bytes;
  uint64_t length;
};

struct owned {
  void *data;
  void (*destroy)(void *);
  bool (*equals)(void *, void *);
};

enum { ERROR_INPUT_INVALID = 2001 };
enum parameter_kind { POSITIONAL_ONLY, STANDARD, ARGS, NAMED, KWARGS };

#define DUCKDB_V2_FUNCTIONS(X)                                                                                         \
  X(int32_t, duckdb_v2_connection_create, (void *instance, void **connection, void **error))                           \
  X(int32_t, duckdb_v2_connection_destroy, (void **connection))                                                        \
  X(int32_t, duckdb_v2_connection_get_factory, (void *connection, void **factory, void **error))                       \
  X(int32_t, duckdb_v2_context_get_factory, (void *context, void **factory, void **error))                             \
  X(int32_t, duckdb_v2_factory_create_type_from_text,                                                                  \
    (void *factory, const struct text *text, void **type, void **error))                                               \
  X(int32_t, duckdb_v2_factory_create_type_from_id,                                                                    \
    (void *factory, int32_t id, const struct text *names, void *const *values, uint64_t n, void **type, void **error)) \
  X(int32_t, duckdb_v2_logical_type_destroy, (void **type))                                                            \
  X(int32_t, duckdb_v2_table_function_create, (void *factory, void **function, void **error))                          \
  X(int32_t, duckdb_v2_table_function_destroy, (void **function))                                                      \
  X(int32_t, duckdb_v2_table_function_set_name, (void *function, const struct text *name, void **error))               \
  X(int32_t, duckdb_v2_table_function_get_signature, (void *function, void **signature, void **error))                 \
  X(int32_t, duckdb_v2_function_signature_add_parameter,                                                               \
    (void *signature, const struct text *name, void *type, void *value, int32_t kind, void **error))                   \
  X(int32_t, duckdb_v2_table_function_set_user_data, (void *function, struct owned *, void **error))                   \
  X(int32_t, duckdb_v2_table_function_set_bind_callback,                                                               \
    (void *function, void (*bind)(void *info, void *result, void *context, void **error), void **error))               \
  X(int32_t, duckdb_v2_table_function_set_init_global_callback,                                                        \
    (void *function, void (*init)(void *info, void *context, void **error), void **error))                             \
  X(int32_t, duckdb_v2_table_function_set_exec_callback,                                                               \
    (void *function, void (*exec)(void *info, void *context, void **error), void **error))                             \
  X(int32_t, duckdb_v2_table_function_set_progress_callback,                                                           \
    (void *function, void (*progress)(void *info, void *context, void **error), void **error))                         \
  X(int32_t, duckdb_v2_table_function_set_projection_pushdown, (void *function, bool on, void **error))                \
  X(int32_t, duckdb_v2_connection_register_table_function, (void *connection, void *function, void **error))           \
  X(int32_t, duckdb_v2_function_bind_get_user_data, (void *info, void **data, void **error))                           \
  X(int32_t, duckdb_v2_function_bind_set_bind_data, (void *info, struct owned *, void **error))                        \
  X(int32_t, duckdb_v2_function_bind_get_arg_count,                                                                    \
    (void *info, uint64_t *fixed, uint64_t *args, uint64_t *named, uint64_t *kwargs, void **error))                    \
  X(int32_t, duckdb_v2_function_bind_get_arg_value, (void *info, uint64_t index, void **value, void **error))          \
  X(int32_t, duckdb_v2_function_bind_get_arg_name, (void *info, uint64_t index, struct text *name, void **error))      \
  X(int32_t, duckdb_v2_value_get_logical_type, (void *value, void **type, void **error))                               \
  X(int32_t, duckdb_v2_value_destroy, (void **value))                                                                  \
  X(int32_t, duckdb_v2_table_function_bind_add_result_column,                                                          \
    (void *result, const struct text *name, void *type, void **error))                                                 \
  X(int32_t, duckdb_v2_table_function_bind_set_cardinality,                                                            \
    (void *result, uint64_t rows, bool is_exact, void **error))                                                        \
  X(int32_t, duckdb_v2_table_function_init_global_get_bind_data, (void *info, void **data, void **error))              \
  X(int32_t, duckdb_v2_table_function_init_global_set_global_state, (void *info, struct owned *, void **error))        \
  X(int32_t, duckdb_v2_table_function_init_global_get_column_count, (void *info, uint64_t *n, void **error))           \
  X(int32_t, duckdb_v2_table_function_init_global_get_column_index,                                                    \
    (void *info, uint64_t index, uint64_t *column, void **error))                                                      \
  X(int32_t, duckdb_v2_table_function_exec_get_global_state, (void *info, void **state, void **error))                 \
  X(int32_t, duckdb_v2_table_function_exec_get_output_chunk, (void *info, void **chunk, void **error))                 \
  X(int32_t, duckdb_v2_table_function_progress_get_global_state, (void *info, void **state, void **error))             \
  X(int32_t, duckdb_v2_table_function_progress_set_progress, (void *info, double progress, void **error))              \
  X(int32_t, duckdb_v2_data_chunk_create, (void *factory, void *const *types, uint64_t n, void **chunk, void **error)) \
  X(int32_t, duckdb_v2_data_chunk_destroy, (void **chunk))                                                             \
  X(int32_t, duckdb_v2_data_chunk_get_vector, (void *chunk, uint64_t index, void **vector, void **error))              \
  X(int32_t, duckdb_v2_vector_make_constant, (void *vector, void *value, uint64_t rows, void **error))                 \
  X(int32_t, duckdb_v2_vector_reference, (void *vector, void *source, void **error))                                   \
  X(int32_t, duckdb_v2_vector_cast,                                                                                    \
    (void *factory, void *source, void *target, int32_t mode, bool *converted, void **cast_error, void **error))       \
  X(int32_t, duckdb_v2_schema_get_field, (void *schema, uint64_t index, struct text *name, void **type, void **error)) \
  X(int32_t, duckdb_v2_schema_destroy, (void **schema))                                                                \
  X(int32_t, duckdb_v2_arrow_exporter_create,                                                                          \
    (void *context, void *const *types, const struct text *names, uint64_t n, uint64_t rows, void **exporter,          \
     void **error))                                                                                                    \
  X(int32_t, duckdb_v2_arrow_exporter_get_schema, (void *exporter, void *schema, void **error))                        \
  X(int32_t, duckdb_v2_arrow_exporter_append, (void *exporter, void **chunk, bool consume, bool flush, void **error))  \
  X(int32_t, duckdb_v2_arrow_exporter_next_array, (void *exporter, void *array, void **error))                         \
  X(int32_t, duckdb_v2_arrow_exporter_destroy, (void **exporter))                                                      \
  X(int32_t, duckdb_v2_arrow_importer_create,                                                                          \
    (void *context, void *schema, uint64_t rows, void **importer, void **error))                                       \
  X(int32_t, duckdb_v2_arrow_importer_get_schema, (void *importer, void **schema, void **error))                       \
  X(int32_t, duckdb_v2_arrow_importer_append, (void *importer, void *array, bool consume, bool flush, void **error))   \
  X(int32_t, duckdb_v2_arrow_importer_next_chunk, (void *importer, void **chunk, void **error))                        \
  X(int32_t, duckdb_v2_arrow_importer_destroy, (void **importer))                                                      \
  X(int32_t, duckdb_v2_error_info_set_code, (void *error, int32_t code))                                               \
  X(int32_t, duckdb_v2_error_info_set_text, (void *error, const struct text *text))

#define PYTHON_FUNCTIONS(X)                        \
  X(int32_t, PyGILState_Ensure, (void))            \
  X(void, PyGILState_Release, (int32_t))           \
  X(int32_t, PyErr_CheckSignals, (void))           \
  X(int32_t, PyErr_ExceptionMatches, (void *type)) \
  X(void, PyErr_Clear, (void))                     \
  X(void, PyErr_WriteUnraisable, (void *where))

#define FIELD(result, name, parameters) result(*name) parameters;
extern struct duckdb_v2_functions {
  DUCKDB_V2_FUNCTIONS(FIELD)
} V;
extern struct duckdb_functions {
  DUCKDB_FUNCTIONS(FIELD)
} D;
extern struct wasmtime_functions {
  WASMTIME_FUNCTIONS(FIELD)
} W;
extern struct python_functions {
  PYTHON_FUNCTIONS(FIELD)
} P;
#undef FIELD

#endif
