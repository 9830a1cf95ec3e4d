/* The rows of groups, which are kept until DuckDB wants their results.
 *
 * A group is spans of batches. A batch is a copy of the rows that DuckDB brings with one call; it is never changed, so
 * groups and threads share it by counting references.
 */
#include "groups.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "columns.h"

/* Most levels of a type that are looked into for the size of its values. */
#define MOST_LEVELS 8

/* What the groups of all aggregates of the process hold, and at which of that Python is asked next. */
static _Atomic(uint64_t) held, held_check = CHECK_BYTES;

/* Of that, what a child process has from before it was forked: groups of queries that it doesn't run. */
static _Atomic(uint64_t) inherited;

static uint64_t held_now(void) {
  uint64_t all = atomic_load(&held), before = atomic_load(&inherited);
  return all > before ? all - before : 0; /* the thread that forked may free some of them */
}

EXPORT uint64_t native_aggregate_held(void) { return held_now(); }

void forget_held(void) {
  atomic_store(&inherited, atomic_load(&held));
  atomic_store(&held_check, CHECK_BYTES);
}

static void hold(uint64_t bytes) { atomic_fetch_add(&held, bytes); }

/* Return whether so much more is held than at the last time that this was the case. */
bool held_much(uint64_t *now) {
  *now = held_now();
  uint64_t next = atomic_load(&held_check);
  return *now > next && atomic_compare_exchange_strong(&held_check, &next, *now + CHECK_BYTES);
}

static void let_go(uint64_t bytes) {
  atomic_fetch_sub(&held, bytes);
  uint64_t now = held_now();
  if (now + 2 * CHECK_BYTES < atomic_load(&held_check)) atomic_store(&held_check, now + CHECK_BYTES);
}

/* ---- batches ----------------------------------------------------------------------------------------------------- */

/* Return about the bytes that a vector holds. */
static uint64_t vector_bytes(void *vector, uint64_t rows, int levels) {
  void *type = D.duckdb_vector_get_column_type(vector);
  uint64_t bytes = 16 * rows, children = 0;
  switch (D.duckdb_get_type_id(type)) {
    case VARCHAR:
    case BLOB:
    case BIT:
    case BIGNUM: {
      const union string *strings = D.duckdb_vector_get_data(vector);
      const uint64_t *validity = D.duckdb_vector_get_validity(vector);
      for (uint64_t row = 0; row < rows; row++) {
        if (!is_valid(validity, row)) continue;
        uint32_t length = strings[row].short_one.length;
        if (length > MOST_INLINED) bytes += length;
      }
      break;
    }
    case LIST:
    case MAP:
      if (levels > 0) {
        bytes +=
            vector_bytes(D.duckdb_list_vector_get_child(vector), D.duckdb_list_vector_get_size(vector), levels - 1);
      }
      break;
    case ARRAY:
      if (levels > 0) {
        bytes = vector_bytes(D.duckdb_array_vector_get_child(vector), rows * D.duckdb_array_type_array_size(type),
                             levels - 1);
      }
      break;
    case STRUCT:
      children = D.duckdb_struct_type_child_count(type);
      break;
    case UNION:
      children = D.duckdb_union_type_member_count(type) + 1;
      break;
    case VARIANT: /* keys, children, values, data */
      children = 4;
      break;
    default:
      break;
  }
  for (uint64_t i = 0; i < children && levels > 0; i++) {
    bytes += vector_bytes(D.duckdb_struct_vector_get_child(vector, i), rows, levels - 1);
  }
  D.duckdb_destroy_logical_type(&type);
  return bytes;
}

void kept_hold(struct kept *batch, int64_t references) { atomic_fetch_add(&batch->references, references); }

void kept_release(struct kept *batch) {
  if (atomic_fetch_sub(&batch->references, 1) != 1) return;
  for (int32_t i = 0; i < batch->n_columns; i++) {
    if (batch->columns[i].vector != NULL) D.duckdb_destroy_vector(&batch->columns[i].vector);
  }
  let_go(batch->bytes);
  free(batch);
}

/* Copy the columns of a batch from `first` on; NULL if there is no memory for it. */
struct kept *kept_new(void *input, int32_t first, int32_t n, uint32_t rows) {
  struct kept *batch = calloc(1, sizeof *batch + sizeof *batch->columns * (size_t)n);
  void *all = D.duckdb_create_selection_vector(rows);
  if (batch == NULL || all == NULL) goto failed;
  atomic_store(&batch->references, 1);
  batch->rows = rows;
  batch->bytes = sizeof *batch;
  batch->n_columns = n;
  uint32_t *selected = D.duckdb_selection_vector_get_data_ptr(all);
  for (uint32_t row = 0; row < rows; row++) selected[row] = row;
  for (int32_t i = 0; i < n; i++) {
    void *from = D.duckdb_data_chunk_get_vector(input, (uint64_t)(first + i));
    void *type = D.duckdb_vector_get_column_type(from);
    struct kept_column *column = &batch->columns[i];
    int32_t id = D.duckdb_get_type_id(type);
    batch->least_bytes += fixed_bytes(id);
    column->vector = D.duckdb_create_vector(type, rows);
    D.duckdb_destroy_logical_type(&type);
    if (column->vector == NULL) goto failed;
    D.duckdb_vector_copy_sel(from, column->vector, all, rows, 0, 0);
    column->width = id == VARCHAR || id == BLOB ? sizeof(union string) : fixed_bytes(id);
    if (column->width > 0 && D.duckdb_vector_get_validity(column->vector) == NULL) {
      column->data = D.duckdb_vector_get_data(column->vector);
    }
    batch->bytes += vector_bytes(column->vector, rows, MOST_LEVELS);
  }
  batch->row_bytes = batch->bytes / rows;
  hold(batch->bytes);
  D.duckdb_destroy_selection_vector(all);
  return batch;
failed:
  if (all != NULL) D.duckdb_destroy_selection_vector(all);
  for (int32_t i = 0; batch != NULL && i < batch->n_columns; i++) {
    if (batch->columns[i].vector != NULL) D.duckdb_destroy_vector(&batch->columns[i].vector);
  }
  free(batch);
  return NULL;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static void code_release(struct code *code) {
  if (code != NULL && atomic_fetch_sub(&code->references, 1) == 1) {
    let_go(code->bytes);
    free(code);
  }
}

static struct code *code_new(const char *text, uint32_t bytes) {
  struct code *code = malloc(sizeof *code + bytes);
  if (code == NULL) return NULL;
  atomic_store(&code->references, 1);
  code->bytes = bytes;
  memcpy(code->text, text, bytes);
  hold(bytes);
  return code;
}

static bool is_code(const struct code *code, const char *text, uint32_t bytes) {
  return code->bytes == bytes && memcmp(code->text, text, bytes) == 0;
}

/* Have a group have room for more spans; false if there is no memory. */
static bool group_grow(struct group *group) {
  if (group->room > UINT32_MAX / 2) return false;
  uint32_t room = 2 * group->room;
  struct span *spans = realloc(group->spans == group->few ? NULL : group->spans, room * sizeof *spans);
  if (spans == NULL) return false;
  if (group->spans == group->few) memcpy(spans, group->few, sizeof group->few);
  hold((group->spans == group->few ? room : room - group->room) * sizeof *spans);
  group->spans = spans;
  group->room = room;
  return true;
}

/* Add rows of a batch to a group; false if there is no memory. Its new references to the batch are counted by the
 * caller, for many rows at once. */
bool group_add(struct group *group, struct kept *batch, uint32_t row, uint32_t n, int64_t *references) {
  struct span *last = group->n_spans > 0 ? &group->spans[group->n_spans - 1] : NULL;
  if (last != NULL && last->batch == batch && last->row + last->n == row) {
    last->n += n;
  } else {
    if (group->n_spans == group->room && !group_grow(group)) return false;
    group->spans[group->n_spans++] = (struct span){batch, row, n};
    ++*references;
  }
  group->rows += n;
  group->bytes += batch->row_bytes * n;
  group->least_bytes += (uint64_t)batch->least_bytes * n;
  return true;
}

/* Add the rows of another group to one; false if there is no memory. */
bool group_append(struct group *group, const struct group *other) {
  bool done = true;
  for (uint32_t i = 0; i < other->n_spans && done; i++) {
    const struct span *span = &other->spans[i];
    int64_t references = 0;
    done = group_add(group, span->batch, span->row, span->n, &references);
    kept_hold(span->batch, references);
  }
  return done;
}

/* Have a group have the source text of a row; what is wrong, or NULL. `last` is that of the row before, or NULL. */
const char *group_take_code(struct group *group, const char *text, uint32_t bytes, struct code **last) {
  if (group->code == NULL) {
    if (*last != NULL && is_code(*last, text, bytes)) {
      atomic_fetch_add(&(*last)->references, 1);
      group->code = *last;
    } else {
      group->code = code_new(text, bytes);
      if (group->code == NULL) return "out of memory";
    }
  } else if (!is_code(group->code, text, bytes)) {
    return "the code, the first argument of an aggregate function, is not the same in all rows of a group";
  }
  *last = group->code;
  return NULL;
}

/* Begin a group without rows. */
void group_start(struct group *group) {
  group->spans = group->few;
  group->room = FEW_SPANS;
  hold(sizeof *group);
}

/* Release the rows of a group. */
void group_clear(struct group *group) {
  for (uint32_t span = 0; span < group->n_spans; span++) kept_release(group->spans[span].batch);
  code_release(group->code);
  bool is_small = group->spans == group->few;
  let_go(sizeof *group + (is_small ? 0 : group->room * sizeof *group->spans));
  if (!is_small) free(group->spans);
  group->spans = NULL;
  group->code = NULL;
  group->rows = group->bytes = group->least_bytes = group->checked = group->n_spans = group->room = 0;
}
