/* The rows of groups, which are kept until DuckDB wants their results.
 *
 * A group is values of plain types, and spans of batches. A batch is a copy of the rows that DuckDB brings with one
 * call; it is never changed, so groups and threads share it by counting references.
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

/* Count bytes that groups take. */
void hold(uint64_t bytes) { atomic_fetch_add(&held, bytes); }

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
    struct type plain = plain_type(from);
    batch->least_bytes += fixed_bytes(D.duckdb_get_type_id(type));
    column->vector = D.duckdb_create_vector(type, rows);
    D.duckdb_destroy_logical_type(&type);
    if (column->vector == NULL) goto failed;
    D.duckdb_vector_copy_sel(from, column->vector, all, rows, 0, 0);
    column->width = plain_bytes(&plain);
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

/* Have a group have room for more words; false if there is no memory. */
static bool group_grow(struct group *group, uint32_t more) {
  uint64_t room = 2 * (uint64_t)group->room;
  while (room < (uint64_t)group->n_words + more) room *= 2;
  if (room > UINT32_MAX) return false;
  bool is_small = group->words == group->few;
  uint64_t *words = realloc(is_small ? NULL : group->words, room * sizeof *words);
  if (words == NULL) return false;
  if (is_small) memcpy(words, group->few, sizeof group->few);
  hold((is_small ? room : room - group->room) * sizeof *words);
  group->words = words;
  group->room = (uint32_t)room;
  return true;
}

static bool has_room(struct group *group, uint32_t more) {
  return group->room - group->n_words >= more || group_grow(group, more);
}

static enum plain_kind kind_of(uint64_t word) { return (enum plain_kind)(word & ((1 << KIND_BITS) - 1)); }

/* Begin an entry, for which there is room. */
static void begin_entry(struct group *group, uint64_t word) {
  group->last = group->n_words;
  group->words[group->n_words++] = word;
}

/* Read the entry that begins at a word; return where the next one begins. */
uint32_t entry_read(const struct group *group, uint32_t at, uint32_t row_words, struct entry *entry) {
  uint64_t word = group->words[at];
  *entry = (struct entry){.kind = kind_of(word), .words = &group->words[at + 1], .n = word >> KIND_BITS};
  switch (entry->kind) {
    case SPAN:
      entry->batch = (struct kept *)(uintptr_t)word;
      entry->row = (uint32_t)*entry->words;
      entry->n = *entry->words >> 32;
      return at + 2;
    case VALUES:
      return at + 1 + (uint32_t)entry->n * row_words;
    default:
      return at + 1;
  }
}

/* Add rows of a batch to a group; false if there is no memory. Its new references to the batch are counted by the
 * caller, for many rows at once. */
bool group_add(struct group *group, struct kept *batch, uint32_t row, uint32_t n, int64_t *references) {
  uint64_t *last = group->n_words > 0 ? &group->words[group->last] : NULL, more = (uint64_t)n << 32;
  if (last != NULL && last[0] == (uintptr_t)batch && (uint32_t)last[1] + (last[1] >> 32) == row) {
    last[1] += more;
  } else {
    if (!has_room(group, 2)) return false;
    begin_entry(group, (uintptr_t)batch);
    group->words[group->n_words++] = more | row;
    group->has_spans = 1;
    ++*references;
  }
  group->rows += n;
  group->bytes += batch->row_bytes * n;
  group->least_bytes += (uint64_t)batch->least_bytes * n;
  return true;
}

/* Add `n` rows of words, or NULLs; false if there is no memory. */
static bool add_words(struct group *group, enum plain_kind kind, const struct plain_type *types, uint64_t n,
                      const uint64_t *words, uint32_t n_words) {
  bool is_new = group->n_words == 0 || kind_of(group->words[group->last]) != kind;
  if (!has_room(group, n_words + is_new)) return false;
  if (is_new) {
    begin_entry(group, (uint64_t)kind);
    memcpy(group->types, types, sizeof group->types);
  }
  group->words[group->last] += n << KIND_BITS;
  if (n_words == 1) {
    group->words[group->n_words] = words[0];
  } else if (n_words > 0) {
    memcpy(&group->words[group->n_words], words, n_words * sizeof *words);
  }
  group->n_words += n_words;
  return true;
}

/* Add a row as `plain_row` has read it to a group; false if there is no memory. */
bool group_add_plain(struct group *group, const struct plain *plain, enum plain_kind kind, const uint64_t *words) {
  if (!add_words(group, kind, plain->types, 1, words, kind == VALUES ? plain->row_words : 0)) return false;
  group->rows++;
  group->bytes += 16 * (uint64_t)plain->n_columns;
  group->least_bytes += plain->least_bytes;
  return true;
}

/* Add the rows of another group to one; false if there is no memory. */
bool group_append(struct group *group, const struct group *other) {
  uint32_t row_words = plain_row_words(other);
  uint64_t rows = group->rows, bytes = group->bytes, least_bytes = group->least_bytes;
  for (uint32_t at = 0; at < other->n_words;) {
    struct entry entry;
    at = entry_read(other, at, row_words, &entry);
    if (entry.kind == SPAN) {
      int64_t references = 0;
      bool done = group_add(group, entry.batch, (uint32_t)entry.row, (uint32_t)entry.n, &references);
      kept_hold(entry.batch, references);
      if (!done) return false;
    } else if (!add_words(group, entry.kind, other->types, entry.n, entry.words,
                          entry.kind == VALUES ? (uint32_t)entry.n * row_words : 0)) {
      return false;
    }
  }
  group->rows = rows + other->rows;
  group->bytes = bytes + other->bytes;
  group->least_bytes = least_bytes + other->least_bytes;
  return true;
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
    return "the code, the first argument of an aggregate function, is not the same in all rows of a group; pass a "
           "constant, or group by it";
  }
  *last = group->code;
  return NULL;
}

/* Begin a group without rows. Its own memory is counted by the caller, for many groups at once. */
void group_start(struct group *group) {
  group->words = group->few;
  group->room = FEW_WORDS;
  memset(group->types, 0, sizeof group->types);
}

/* Release the rows of a group. */
void group_clear(struct group *group) {
  uint32_t row_words = group->has_spans ? plain_row_words(group) : 0;
  for (uint32_t at = 0; group->has_spans && at < group->n_words;) {
    struct entry entry;
    at = entry_read(group, at, row_words, &entry);
    if (entry.kind == SPAN) kept_release(entry.batch);
  }
  code_release(group->code);
  bool is_small = group->words == group->few;
  let_go(sizeof *group + (is_small ? 0 : group->room * sizeof *group->words));
  if (!is_small) free(group->words);
  group->words = NULL;
  group->code = NULL;
  group->rows = group->bytes = group->least_bytes = 0;
  group->has_spans = group->checked = group->last = group->n_words = group->room = 0;
}
