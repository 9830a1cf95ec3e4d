/* The results of groups: their rows become lists, which Python runs as it runs `f(list(x))`; results become a vector.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregate.h"
#include "api.h"
#include "function.h"

/* What goes to Python at once, unless a single group has more: see _functions/aggregate.py. */
#define CALL_ROWS (UINT64_C(1) << 20)
#define CALL_BYTES (UINT64_C(32) << 20)

/* The rows of a batch, in order: it has at most as many as a vector of DuckDB's. */
static uint32_t in_order[MOST_ROWS];

/* An empty database that casts results. Nobody else uses it. */
static void *scratch;

/* Groups of one call of DuckDB's, as far as they go to Python at once. */
struct part {
  void *info;
  const struct aggregate *function;
  struct group *groups[MOST_ROWS]; /* NULL: no rows */
  uint64_t places[MOST_ROWS];      /* of their results */
  uint64_t n, begun;               /* begun: when the query did: see begun_of */
  void *result;
};

/* Prepare for results; 0 if there is no database to cast them. */
EXPORT int32_t native_aggregate_start(void) {
  void *connection;
  if (scratch != NULL) return 1; /* others may run */
  for (uint32_t i = 0; i < MOST_ROWS; i++) in_order[i] = i;
  if (D.duckdb_open(":memory:", &scratch) != 0) return 0;
  if (D.duckdb_connect(scratch, &connection) != 0) return 0;
  D.duckdb_query(connection, "SET threads = 1", NULL); /* no threads besides those of the queries */
  D.duckdb_disconnect(&connection);
  return 1;
}

static void fail(const struct part *part, const char *message) {
  D.duckdb_aggregate_function_set_error(part->info, message);
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* Return the type of a column's values, to be destroyed. */
static void *column_type(const struct part *part, int32_t column) {
  for (uint64_t i = 0; i < part->n; i++) {
    const struct group *group = part->groups[i];
    if (group == NULL) continue;
    if (group->types[0].id != 0) {
      struct plain_type type = group->types[column];
      if (type.id == DECIMAL) return D.duckdb_create_decimal_type(type.width, type.scale);
      return D.duckdb_create_logical_type(type.id);
    }
    struct entry entry;
    entry_read(group, 0, 0, &entry);
    return D.duckdb_vector_get_column_type(entry.batch->columns[column].vector);
  }
  return D.duckdb_create_logical_type(SQLNULL); /* no rows: nobody knows */
}

/* Entries by which values are fetched into the processor's caches before they are copied. */
#define AHEAD 8

/* Where a column's lists are written to. */
struct lists {
  int32_t column;
  void *values, *selected; /* DuckDB's vectors; selected: all rows in order */
  uint8_t *to;
};

/* Read the entry that begins at a word, and have the processor fetch its values if they are a span's. */
static uint32_t fetch_entry(const struct group *group, uint32_t at, uint32_t row_words, int32_t column) {
  struct entry entry;
  at = entry_read(group, at, row_words, &entry);
  if (entry.kind != SPAN) return at;
  const struct kept_column *kept = &entry.batch->columns[column];
  if (kept->data != NULL) __builtin_prefetch(kept->data + entry.row * kept->width);
  return at;
}

/* Make rows of a vector NULL. */
static void put_nulls(const struct lists *lists, uint64_t at, uint64_t n, uint32_t width) {
  D.duckdb_vector_ensure_validity_writable(lists->values);
  uint64_t *validity = D.duckdb_vector_get_validity(lists->values);
  memset(lists->to + at * width, 0, n * width);
  for (uint64_t row = at; row < at + n; row++) validity[row / 64] &= ~(UINT64_C(1) << row % 64);
}

/* Write the rows of a group into the vector of a list's values, from a row of it on. */
static void put_group(const struct lists *lists, const struct group *group, uint64_t at) {
  uint32_t row_words = plain_row_words(group), width = 0, before = 0, soon = 0;
  for (int32_t i = 0; i <= lists->column && i < PLAIN_COLUMNS; i++) {
    before += (width + 7) / 8;
    width = plain_bytes(&(struct type){.id = group->types[i].id, .width = group->types[i].width});
  }
  for (int i = 0; i < AHEAD && soon < group->n_words; i++) soon = fetch_entry(group, soon, row_words, lists->column);
  for (uint32_t word = 0; word < group->n_words;) {
    struct entry entry;
    word = entry_read(group, word, row_words, &entry);
    if (soon < group->n_words) soon = fetch_entry(group, soon, row_words, lists->column);
    if (entry.kind == VALUES) {
      plain_copy(lists->to + at * width, entry.words + before, entry.n, row_words, width);
    } else if (entry.kind == NULLS) {
      put_nulls(lists, at, entry.n, width);
    } else {
      const struct kept_column *kept = &entry.batch->columns[lists->column];
      if (kept->data != NULL) {
        memcpy(lists->to + at * kept->width, kept->data + entry.row * kept->width, entry.n * kept->width);
      } else {
        D.duckdb_vector_copy_sel(kept->vector, lists->values, lists->selected, entry.row + entry.n, entry.row, at);
      }
    }
    at += entry.n;
  }
}

/* Write a column's values as lists into a vector; false if there is no memory. */
static bool put_lists(const struct part *part, int32_t column, void *vector, void *selected) {
  struct list {
    uint64_t offset, length;
  } *lists = D.duckdb_vector_get_data(vector);
  uint64_t total = 0;
  for (uint64_t i = 0; i < part->n; i++) {
    uint64_t rows = part->groups[i] == NULL ? 0 : part->groups[i]->rows;
    lists[i] = (struct list){total, rows};
    total += rows;
  }
  if (D.duckdb_list_vector_reserve(vector, total) != 0) return false;
  void *values = D.duckdb_list_vector_get_child(vector);
  const struct lists to = {column, values, selected, D.duckdb_vector_get_data(values)};
  for (uint64_t i = 0; i < part->n; i++) {
    if (i + AHEAD < part->n && part->groups[i + AHEAD] != NULL) __builtin_prefetch(part->groups[i + AHEAD]->words);
    if (part->groups[i] != NULL) put_group(&to, part->groups[i], lists[i].offset);
  }
  return D.duckdb_list_vector_set_size(vector, total) == 0;
}

/* Make a chunk of the groups: the source texts, if the function is inline, and a list for each column. NULL if there is
 * no memory. */
static void *chunk_of(const struct part *part, void **types, uint64_t n) {
  int32_t first = part->function->is_inline;
  void *chunk = D.duckdb_create_data_chunk(types, n), *selected = D.duckdb_create_selection_vector(MOST_ROWS);
  if (chunk == NULL || selected == NULL) goto failed;
  memcpy(D.duckdb_selection_vector_get_data_ptr(selected), in_order, sizeof in_order);
  if (first) {
    void *vector = D.duckdb_data_chunk_get_vector(chunk, 0);
    for (uint64_t i = 0; i < part->n; i++) {
      const struct code *code = part->groups[i]->code;
      D.duckdb_unsafe_vector_assign_string_element_len(vector, i, code->text, code->bytes);
    }
  }
  for (int32_t i = 0; i < part->function->n_columns; i++) {
    if (!put_lists(part, i, D.duckdb_data_chunk_get_vector(chunk, (uint64_t)(first + i)), selected)) goto failed;
  }
  D.duckdb_data_chunk_set_size(chunk, part->n);
  D.duckdb_destroy_selection_vector(selected);
  return chunk;
failed:
  if (selected != NULL) D.duckdb_destroy_selection_vector(selected);
  if (chunk != NULL) D.duckdb_destroy_data_chunk(&chunk);
  return NULL;
}

/* Make Arrow structs of the groups, under the settings of the database; what is wrong, or NULL. */
static const char *export(const struct part *part, void **types, uint64_t n, struct arrow_struct *schema,
                          struct arrow_struct *array) {
  void *connection = NULL, *options = NULL, *error = NULL, *chunk = NULL;
  const char *names[MOST_COLUMNS + 1], *wrong = NULL;
  for (uint64_t i = 0; i < n; i++) names[i] = "c";
  if (connect_to(part->function->database, &connection) != 0) return "no connection could be made";
  D.duckdb_connection_get_arrow_options(connection, &options);
  chunk = options == NULL ? NULL : chunk_of(part, types, n);
  if (chunk == NULL) {
    wrong = "out of memory";
  } else {
    error = D.duckdb_to_arrow_schema(options, types, names, n, schema);
    if (error == NULL) error = D.duckdb_data_chunk_to_arrow(options, chunk, array);
    D.duckdb_destroy_data_chunk(&chunk);
  }
  if (error != NULL) {
    wrong = "DuckDB could not make Arrow arrays of the groups";
    D.duckdb_destroy_error_data(&error);
    arrow_release(schema, array);
  }
  if (options != NULL) D.duckdb_destroy_arrow_options(&options);
  D.duckdb_disconnect(&connection);
  return wrong;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* Copy the results of a query into DuckDB's vector; false if there are too few, or there is no memory. */
static bool copy_results(const struct part *part, struct result *results) {
  void *selected = D.duckdb_create_selection_vector(MOST_ROWS), *chunk;
  uint64_t done = 0;
  if (selected == NULL) return false;
  memcpy(D.duckdb_selection_vector_get_data_ptr(selected), in_order, sizeof in_order);
  while ((chunk = D.duckdb_fetch_chunk(*results)) != NULL) {
    uint64_t rows = D.duckdb_data_chunk_get_size(chunk);
    void *vector = D.duckdb_data_chunk_get_vector(chunk, 0);
    for (uint64_t row = 0; row < rows && rows <= part->n - done;) { /* as many at a time as lie side by side */
      uint64_t end = row + 1;
      while (end < rows && part->places[done + end] == part->places[done + end - 1] + 1) end++;
      D.duckdb_vector_copy_sel(vector, part->result, selected, end, row, part->places[done + row]);
      row = end;
    }
    done += rows;
    D.duckdb_destroy_data_chunk(&chunk);
    if (rows == 0 || done > part->n) break;
  }
  D.duckdb_destroy_selection_vector(selected);
  return done == part->n;
}

/* Put what a query returns into DuckDB's vector. */
static void put_query(const struct part *part, void *connection, const char *query) {
  struct result results = {0};
  if (D.duckdb_query(connection, query, &results) != 0) {
    const char *message = D.duckdb_result_error(&results);
    fail(part, message == NULL ? "DuckDB could not cast the results" : message);
  } else if (!copy_results(part, &results)) {
    fail(part, "DuckDB could not read all results");
  }
  D.duckdb_destroy_result(&results);
}

/* Have DuckDB cast results to the type of the function's, and put them into its vector. Without Arrow structs they are
 * NULL: what else belongs to a NULL of a nested type DuckDB knows best. */
static void cast_results(const struct part *part, struct arrow_struct *schema, struct arrow_struct *array) {
  static _Atomic(uint64_t) last;
  void *connection = NULL, *stream = NULL;
  char name[32];
  size_t room = strlen(part->function->result) + sizeof name + 64;
  char *query = malloc(room);
  if (query == NULL || D.duckdb_connect(scratch, &connection) != 0) {
    fail(part, "out of memory");
    free(query);
    return;
  }
  if (array == NULL) {
    snprintf(query, room, "SELECT CAST(NULL AS %s) FROM range(%" PRIu64 ")", part->function->result, part->n);
    put_query(part, connection, query);
  } else {
    snprintf(name, sizeof name, "results_%" PRIu64, atomic_fetch_add(&last, 1));
    snprintf(query, room, "SELECT CAST(c AS %s) FROM %s", part->function->result, name);
    if (D.duckdb_arrow_array_scan(connection, name, schema, array, &stream) != 0) {
      fail(part, "DuckDB could not read the results");
    } else {
      put_query(part, connection, query);
    }
    snprintf(query, room, "DROP VIEW IF EXISTS %s", name);
    D.duckdb_query(connection, query, NULL);
    if (stream != NULL) D.duckdb_destroy_arrow_stream(&stream);
  }
  D.duckdb_disconnect(&connection);
  free(query);
}

/* Run groups, and put their results into DuckDB's vector; false if something failed. */
static bool run(const struct part *part, bool is_plain) {
  const struct aggregate *function = part->function;
  struct arrow_struct schema = {0}, array = {0}, out_schema = {0}, out_array = {0};
  struct aggregate_call call = {
      .reason = GROUPS,
      .function = function->number,
      .rows = (int64_t)part->n,
      .array = &array,
      .schema = &schema,
      .out_array = &out_array,
      .out_schema = &out_schema,
      .native = &function->native,
      .begun = part->begun,
      .info = part->info,
      .output = is_plain && function->native.id != 0 ? part->result : NULL,
  };
  void *types[MOST_COLUMNS + 1];
  uint64_t n = 0;
  if (function->is_inline) types[n++] = D.duckdb_create_logical_type(VARCHAR);
  for (int32_t i = 0; i < function->n_columns; i++) {
    void *type = function->types == NULL ? column_type(part, i) : NULL;
    types[n++] = D.duckdb_create_list_type(type == NULL ? function->types[i] : type);
    if (type != NULL) D.duckdb_destroy_logical_type(&type);
  }
  const char *wrong = export(part, types, n, &schema, &array);
  for (uint64_t i = 0; i < n; i++) D.duckdb_destroy_logical_type(&types[i]);
  if (wrong != NULL) {
    fail(part, wrong);
    return false;
  }
  bool done = aggregate_ask(&call);
  arrow_release(&schema, &array); /* unless Python has taken them */
  if (done && !call.is_put) cast_results(part, &out_schema, &out_array);
  arrow_release(&out_schema, &out_array);
  return done;
}

/* Put the results of groups into a vector; false if something failed. */
static bool finalize(void *info, void **states, void *result, uint64_t n, uint64_t offset) {
  const struct aggregate *function = D.duckdb_aggregate_function_get_extra_info(info);
  struct part *parts = calloc(2, sizeof *parts), *part = &parts[0], *nulls = &parts[1];
  if (parts == NULL) {
    D.duckdb_aggregate_function_set_error(info, "out of memory");
    return false;
  }
  for (int j = 0; j < 2; j++) {
    parts[j].info = info;
    parts[j].function = function;
    parts[j].result = result;
    parts[j].begun = begun_of(states, n);
  }
  bool done = true;
  for (uint64_t i = 0; i < n && done;) {
    uint64_t rows = 0, bytes = 0, begin = i;
    part->n = nulls->n = 0;
    for (; i < n && part->n < MOST_ROWS && nulls->n < MOST_ROWS; i++) {
      struct group *group = group_of(states[i]);
      if (group == NULL && ((struct state *)states[i])->group != NULL) {
        fail(part,
             "rows of an aggregate function were released before their query had ended; run the query itself, not "
             "EXECUTE");
        done = false;
        break;
      }
      if (function->is_inline && (group == NULL || group->code == NULL)) { /* what is to be run isn't known */
        nulls->places[nulls->n++] = offset + i;
        continue;
      }
      if (group != NULL && part->n > 0 && (rows + group->rows > CALL_ROWS || bytes + group->bytes > CALL_BYTES)) break;
      part->places[part->n] = offset + i;
      part->groups[part->n++] = group;
      rows += group == NULL ? 0 : group->rows;
      bytes += group == NULL ? 0 : group->bytes;
    }
    if (nulls->n > 0) cast_results(nulls, NULL, NULL);
    done = done && (part->n == 0 || run(part, begin == 0 && offset == 0 && part->n == i));
  }
  free(parts);
  return done;
}

/* What DuckDB calls for the results of groups. */
void aggregate_finalize(void *info, void **states, void *result, uint64_t n, uint64_t offset) {
  callback_enter();
  bool done = finalize(info, states, result, n, offset);
  callback_leave();
  if (!done) groups_free(states, n); /* DuckDB forgets them then */
}
