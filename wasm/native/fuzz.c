/* Tampers with results as a hostile guest could, and reads them: `fuzz SEED ROUNDS`, or LLVMFuzzerTestOneInput.
 *
 * The linear memory ends at a page that can't be read, and so do DuckDB's vectors; the build has UBSan, and ASan where
 * the compiler has it. What is taken must be what its type allows. Not part of the library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "api.h"
#include "columns.h"

struct duckdb_functions D;

#define MEMORY (3 * 65536)
#define ROWS 2048
#define VECTOR (16 * ROWS)
#define AT 4096 /* of the result */
#define COLUMNS 4
#define ROW_AT                                                                                           \
  2048 /* of the addresses of the columns' structs; then the row's bitmap, and the struct of each column \
        */

static uint8_t *memory, *vector;
static uint64_t *mask;
static bool has_mask;
static char *heap;

/* Return `size` bytes that end where nothing can be read. */
static void *guarded(size_t size) {
  size_t pages = (size + 65535) / 65536 * 65536;
  uint8_t *at = mmap(NULL, pages + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || mprotect(at + pages, 65536, PROT_NONE) != 0) abort();
  return at + pages - size;
}

/* ---- DuckDB -------------------------------------------------------------------------------------------------------
 */

static void *get_data(void *of) { return of; }
/* Return the vector of a column: one for all, so that what is checked is the last. */
static void *get_vector([[maybe_unused]] void *chunk, [[maybe_unused]] uint64_t column) { return vector; }
static uint64_t *get_validity(void *of) { return of == vector && has_mask ? mask : NULL; }
static void ensure_validity(void *of) { has_mask = of == vector; }
static void assign(void *of, uint64_t row, const char *bytes, uint64_t size) {
  free(heap);
  heap = malloc(size);
  memcpy(heap, bytes, size);
  union string text = {.long_one = {.length = (uint32_t)size, .pointer = heap}};
  memcpy((union string *)of + row, &text, sizeof text);
}

static void prepare(void) {
  if (memory != NULL) return;
  memory = guarded(MEMORY);
  vector = guarded(VECTOR);
  mask = guarded(ROWS / 8);
  D.duckdb_vector_get_data = get_data;
  D.duckdb_vector_get_validity = get_validity;
  D.duckdb_vector_ensure_validity_writable = ensure_validity;
  D.duckdb_unsafe_vector_assign_string_element_len = assign;
  D.duckdb_data_chunk_get_vector = get_vector;
}

/* ---- results -------------------------------------------------------------------------------------------------------
 */

static uint64_t state;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}

static const struct type TYPES[] = {
    {.id = BOOLEAN},
    {.id = TINYINT},
    {.id = SMALLINT},
    {.id = INTEGER},
    {.id = BIGINT},
    {.id = UTINYINT},
    {.id = USMALLINT},
    {.id = UINTEGER},
    {.id = UBIGINT},
    {.id = FLOAT},
    {.id = DOUBLE},
    {.id = DATE},
    {.id = TIME},
    {.id = TIMESTAMP},
    {.id = TIMESTAMP_TZ},
    {.id = VARCHAR},
    {.id = BLOB},
    {.id = DECIMAL, .width = 4, .scale = 1},
    {.id = DECIMAL, .width = 9, .scale = 2},
    {.id = DECIMAL, .width = 18, .scale = 3},
};
#define N_TYPES (sizeof TYPES / sizeof *TYPES)

static void put(uint64_t at, uint64_t value, size_t size) {
  if (at + size <= MEMORY) memcpy(memory + at, &value, size);
}

/* Write a sound result of a type. */
static void write_result(const struct type *type, uint64_t rows) {
  bool text = type->id == VARCHAR || type->id == BLOB;
  memset(memory + AT, 0, 136);
  put(AT, rows, 8);
  put(AT + 24, text ? 3 : 2, 8);
  put(AT + 40, 8192, 4);
  put(8192, next() % 2 ? 16384 : 0, 4);
  put(8196, 32768, 4);
  put(8200, 65536, 4);
  for (uint64_t i = 0; i < ROWS / 8; i++) memory[16384 + i] = (uint8_t)next();
  if (!text) {
    for (uint64_t row = 0; row < 2 * rows; row++) put(32768 + 8 * row, 0, 8);
    if (type->id < TIMESTAMP) {
      for (uint64_t row = 0; row < rows; row++) put(32768 + 8 * row, next() % 100, 8);
    }
    return;
  }
  uint32_t at = 0;
  for (uint64_t row = 0; row <= rows; row++) {
    put(32768 + 4 * row, at, 4);
    if (row < rows) at += (uint32_t)(next() % 40);
  }
  memset(memory + 65536, 'a', at + 1);
  for (uint32_t i = 0; i + 2 < at; i += 1 + (uint32_t)(next() % 50)) memcpy(memory + 65536 + i, "\xC3\xA4", 2);
}

/* Change some words of the result, its buffers' addresses, offsets or bytes. */
static void tamper(uint64_t rows) {
  static const uint64_t ODD[] = {0,          1,          2048,       63,         64,        MEMORY,
                                 MEMORY - 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, UINT64_MAX};
  for (uint64_t n = 1 + next() % 3; n > 0; n--) {
    uint64_t value = next() % 2   ? ODD[next() % (sizeof ODD / sizeof *ODD)]
                     : next() % 2 ? MEMORY - next() % 70000
                                  : next();
    uint64_t places[] = {next() % 3 ? AT + 4 * (next() % 34) : ROW_AT + 4 * (next() % 36), 8192 + 4 * (next() % 3),
                         32768 + 4 * (next() % (2 * rows + 2)), 65536 + next() % 80000, 16384 + next() % 256};
    put(places[next() % 5], value, next() % 2 ? 4 : 8);
  }
}

/* What was taken has to be good. */
static void check_values(const struct type *type, uint64_t rows) {
  volatile uint8_t last = 0;
  for (uint64_t row = 0; row < rows; row++) {
    bool valid = !has_mask || (mask[row / 64] >> row % 64 & 1);
    union string text;
    memcpy(&text, (union string *)vector + row, sizeof text);
    switch (type->id) {
      case BOOLEAN:
        if (vector[row] > 1) abort();
        break;
      case DATE:
        if (abs(((int32_t *)vector)[row]) > 3000000) abort();
        break;
      case TIME:
        if ((uint64_t)((int64_t *)vector)[row] >= UINT64_C(86400000000)) abort();
        break;
      case DECIMAL:
        if (valid && type->width == 4 && abs(((int16_t *)vector)[row]) > 9999) abort();
        if (valid && type->width == 9 && abs(((int32_t *)vector)[row]) > 999999999) abort();
        break;
      case VARCHAR:
      case BLOB:
        if (text.short_one.length <= MOST_INLINED) break;
        for (uint32_t i = 0; i < text.long_one.length; i++) last = (uint8_t)text.long_one.pointer[i];
        if (memcmp(text.long_one.prefix, text.long_one.pointer, 4) != 0) abort();
    }
  }
  (void)last;
}

/* Read a result; return whether it was taken. */
static bool check(const struct type *type, uint64_t rows, uint32_t at, uint64_t allowed) {
  struct counts counts;
  has_mask = false;
  if (!result_read(type, rows, memory, MEMORY, at, allowed, vector, &counts)) return false;
  if (counts.failed < 0 || (uint64_t)counts.failed > rows || (uint64_t)(counts.compiled + counts.bailed) > rows)
    abort();
  check_values(type, rows);
  return true;
}

/* ---- steps of scans ------------------------------------------------------------------------------------------------
 */

/* Make the result one of rows: the struct at AT becomes that of each column. */
static void write_row(uint64_t rows) {
  memcpy(memory + ROW_AT + 64, memory + AT, 80);
  for (uint64_t i = 0; i < COLUMNS; i++) put(ROW_AT + 4 * i, ROW_AT + 64, 4);
  put(ROW_AT + 32, next() % 2 ? 16384 : 0, 4);
  memset(memory + AT, 0, 80);
  put(AT, rows, 8);
  put(AT + 24, 1, 8);
  put(AT + 32, COLUMNS, 8);
  put(AT + 40, ROW_AT + 32, 4);
  put(AT + 44, ROW_AT, 4);
}

/* Read the rows of a step: structs of columns, or the only column; return whether they were taken. */
static bool check_step(const struct type *type, uint32_t at, uint64_t allowed, bool is_row, uint64_t wanted) {
  static const uint64_t order[COLUMNS] = {2, 0, 3, 1}, only = 0;
  struct type types[COLUMNS] = {*type, *type, *type, *type};
  struct step_columns columns = {is_row ? COLUMNS : 1, is_row ? wanted : 1, is_row, types, is_row ? order : &only};
  uint64_t rows = 0;
  has_mask = false;
  if (!step_read(&columns, memory, MEMORY, at, allowed, NULL, &rows)) return false;
  if (rows > VECTOR_ROWS) abort();
  if (columns.n_wanted > 0) check_values(type, rows);
  return true;
}

/* For a fuzzer that looks at coverage: the first bytes choose type and rows, the others are memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  if (size < 4) return 0;
  uint64_t rows = (data[1] | (uint64_t)data[2] << 8) % (ROWS + 1);
  state = 1 + data[3];
  const struct type *type = &TYPES[data[0] % N_TYPES];
  write_result(type, rows);
  for (size_t i = 4; i + 4 < size; i += 5) {
    uint32_t areas[] = {AT, 8192, 16384, 32768, 65536, AT + 136};
    put(areas[data[i] % 6] + (uint64_t)data[i + 1] * 4 + data[i + 2] % 4, data[i + 3] | (uint64_t)data[i + 4] << 24, 4);
  }
  check(type, rows, AT, MEMORY);
  if (data[3] % 2) write_row(rows);
  check_step(type, AT, MEMORY, data[3] % 2, data[3] / 2 % (COLUMNS + 1));
  return 0;
}

#ifndef LIBFUZZER
int main(int count, char **arguments) {
  if (count != 3) return 2;
  prepare();
  state = strtoull(arguments[1], NULL, 10) | 1;
  long rounds = strtol(arguments[2], NULL, 10), taken = 0;
  for (long round = 0; round < rounds; round++) {
    const struct type *type = &TYPES[next() % N_TYPES];
    uint64_t rows = next() % 8 ? next() % 65 : next() % (ROWS + 1);
    write_result(type, rows);
    bool is_step = next() % 2, is_row = is_step && next() % 2;
    if (is_row) write_row(rows);
    if (round % 16 != 0) tamper(rows);
    uint32_t at = next() % 64 ? AT : (uint32_t)(MEMORY - next() % 300);
    uint64_t allowed = next() % 16 ? MEMORY : next() % 40000;
    bool good =
        is_step ? check_step(type, at, allowed, is_row, next() % (COLUMNS + 1)) : check(type, rows, at, allowed);
    bool is_sound = round % 16 == 0 && at == AT && allowed == MEMORY && type->id != VARCHAR && type->id != BLOB;
    if (is_sound && !good) abort();
    taken += good;
  }
  printf("%ld results, %ld taken\n", rounds, taken);
  return 0;
}
#endif
