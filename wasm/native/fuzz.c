/* Tampers with results as a hostile guest could, and reads them: `fuzz SEED ROUNDS`, `fuzz CORPUS` for a file of inputs
 * in hexadecimal lines, `fuzz texts FILE` for texts, or LLVMFuzzerTestOneInput for a fuzzer that looks at coverage.
 *
 * The linear memory ends at a page that can't be read, and so do DuckDB's vectors; the build has UBSan, and ASan where
 * the compiler has it. What is taken must be what a second, slow reader finds in memory. Not part of the library.
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
/* Of the addresses of the columns' structs; behind them the place of the row's bitmap, and the struct of each column.
 */
#define ROW_AT 2048

struct vector {
  uint8_t *data;
  uint64_t *mask;
  bool has_mask;
  char *texts;
};

static uint8_t *memory;
static struct vector vectors[COLUMNS];

/* Return `size` bytes that end where nothing can be read. */
static void *guarded(size_t size) {
  size_t pages = (size + 65535) / 65536 * 65536;
  uint8_t *at = mmap(NULL, pages + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED || mprotect(at + pages, 65536, PROT_NONE) != 0) abort();
  return at + pages - size;
}

/* ---- DuckDB -------------------------------------------------------------------------------------------------------
 */

static void *get_data(void *of) { return ((struct vector *)of)->data; }
static void *get_vector([[maybe_unused]] void *chunk, uint64_t column) { return &vectors[column]; }
static uint64_t *get_validity(void *of) {
  struct vector *vector = of;
  return vector->has_mask ? vector->mask : NULL;
}
static void ensure_validity(void *of) {
  struct vector *vector = of;
  if (!vector->has_mask) memset(vector->mask, 0xFF, ROWS / 8);
  vector->has_mask = true;
}
static void assign(void *of, uint64_t row, const char *bytes, uint64_t size) {
  struct vector *vector = of;
  free(vector->texts);
  vector->texts = malloc(size);
  memcpy(vector->texts, bytes, size);
  union string text = {.long_one = {.length = (uint32_t)size, .pointer = vector->texts}};
  memcpy((union string *)vector->data + row, &text, sizeof text);
}

static void prepare(void) {
  if (memory != NULL) return;
  memory = guarded(MEMORY);
  for (int i = 0; i < COLUMNS; i++) vectors[i] = (struct vector){guarded(VECTOR), guarded(ROWS / 8), false, NULL};
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

static const struct type TYPES[] = {{.id = BOOLEAN},
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
                                    {.id = DECIMAL, .width = 18, .scale = 3}};
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

/* ---- what was taken ------------------------------------------------------------------------------------------------
 */

static uint64_t word(uint64_t at, size_t size) {
  uint64_t value = 0;
  if (at > MEMORY || size > MEMORY - at) abort(); /* it was taken, so it has to be inside */
  memcpy(&value, memory + at, size);
  return value;
}

/* Return the bytes of the character that begins here; 0 if there is none. It decodes the number and writes it again. */
static uint64_t character(const uint8_t *at, uint64_t size) {
  uint32_t length = at[0] < 0x80 ? 1 : at[0] < 0xC0 ? 0 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : at[0] < 0xF8 ? 4 : 0;
  if (length == 0 || length > size) return 0;
  uint32_t number = length == 1 ? at[0] : at[0] & (0x7Fu >> length);
  for (uint32_t i = 1; i < length; i++) {
    if (at[i] >> 6 != 2) return 0;
    number = number << 6 | (at[i] & 0x3F);
  }
  uint32_t shortest = number < 0x80 ? 1 : number < 0x800 ? 2 : number < 0x10000 ? 3 : 4;
  return shortest == length && number <= 0x10FFFF && (number < 0xD800 || number > 0xDFFF) ? length : 0;
}

/* Abort unless a text is that of a row in memory. */
static void check_text(const struct type *type, const uint8_t *vector, uint64_t row, uint64_t offsets, uint64_t bytes) {
  uint64_t begin = word(offsets + 4 * row, 4), end = word(offsets + 4 * row + 4, 4), size = end - begin;
  union string text;
  memcpy(&text, vector + sizeof text * row, sizeof text);
  if (begin > end || end > INT32_MAX || text.short_one.length != size) abort();
  bool is_short = size <= MOST_INLINED;
  const uint8_t *at = (const uint8_t *)(is_short ? text.short_one.bytes : text.long_one.pointer);
  if (size > 0) word(bytes + end - 1, 1);
  if (memcmp(at, memory + bytes + begin, size) != 0) abort();
  if (!is_short && memcmp(text.long_one.prefix, at, 4) != 0) abort();
  for (uint64_t i = size; is_short && i < MOST_INLINED; i++) {
    if (at[i] != 0) abort(); /* DuckDB compares all twelve */
  }
  for (uint64_t i = 0, more; type->id == VARCHAR && i < size; i += more) {
    more = character(at + i, size - i);
    if (more == 0) abort();
  }
}

/* Abort unless a value that isn't NULL is that of a row in memory, and one that its type has. */
static void check_value(const struct type *type, const uint8_t *vector, uint64_t row, uint64_t from) {
  int64_t value = type->id == DATE || type->id == BOOLEAN ? 0 : (int64_t)word(from + 8 * row, 8), high, most = 1;
  double wide;
  float narrow;
  switch (type->id) {
    case BOOLEAN:
      if (vector[row] != (word(from + row / 8, 1) >> row % 8 & 1)) abort();
      break;
    case TINYINT:
      if (value != ((const int8_t *)(const void *)vector)[row]) abort();
      break;
    case SMALLINT:
      if (value != ((const int16_t *)(const void *)vector)[row]) abort();
      break;
    case INTEGER:
      if (value != ((const int32_t *)(const void *)vector)[row]) abort();
      break;
    case UTINYINT:
      if (value != ((const uint8_t *)(const void *)vector)[row]) abort();
      break;
    case USMALLINT:
      if (value != ((const uint16_t *)(const void *)vector)[row]) abort();
      break;
    case UINTEGER:
      if (value != ((const uint32_t *)(const void *)vector)[row]) abort();
      break;
    case FLOAT:
      memcpy(&wide, &value, sizeof wide);
      narrow = ((const float *)(const void *)vector)[row];
      if (narrow != (float)wide && wide == wide) abort();
      if (narrow - narrow != 0 && wide - wide == 0) abort(); /* infinite, though the number isn't */
      break;
    case DATE:
      value = (int32_t)word(from + 4 * row, 4);
      if (value != ((const int32_t *)(const void *)vector)[row] || value < -719163 || value > 2932897) abort();
      break;
    case DECIMAL:
      value = (int64_t)word(from + 16 * row, 8);
      high = (int64_t)word(from + 16 * row + 8, 8);
      for (int i = 0; i < type->width; i++) most *= 10;
      if (high != (value < 0 ? -1 : 0) || value >= most || value <= -most) abort();
      if (type->width == 4 && value != ((const int16_t *)(const void *)vector)[row]) abort();
      if (type->width == 9 && value != ((const int32_t *)(const void *)vector)[row]) abort();
      if (type->width == 18 && value != ((const int64_t *)(const void *)vector)[row]) abort();
      break;
    default:
      if (value != ((const int64_t *)(const void *)vector)[row]) abort();
      if (type->id == TIME && (uint64_t)value >= UINT64_C(86400000000)) abort();
      if (type->id != TIMESTAMP && type->id != TIMESTAMP_TZ) break;
      if (value < -INT64_C(62135683200000000) || value > INT64_C(253402387200000000)) abort();
  }
}

/* Abort unless a vector has the values of a column: the struct at `at`, and the bitmap of the rows it is in, or 0. */
static void check_column(const struct type *type, uint64_t rows, uint64_t at, uint64_t row_bitmap,
                         const struct vector *vector) {
  bool text = type->id == VARCHAR || type->id == BLOB;
  uint64_t buffers = word(at + 40, 4), bitmap = word(buffers, 4), values = word(buffers + 4, 4);
  if (word(at, 8) != rows || word(at + 24, 8) != (text ? 3 : 2)) abort();
  if (vector->has_mask != (bitmap != 0 || row_bitmap != 0)) abort();
  for (uint64_t row = 0; row < rows; row++) {
    bool valid = bitmap == 0 || (word(bitmap + row / 8, 1) >> row % 8 & 1);
    bool shown = valid && (row_bitmap == 0 || (word(row_bitmap + row / 8, 1) >> row % 8 & 1));
    if (vector->has_mask && shown != (vector->mask[row / 64] >> row % 64 & 1)) abort();
    if (text) {
      check_text(type, vector->data, row, values, word(buffers + 8, 4));
    } else if (valid) {
      check_value(type, vector->data, row, values);
    }
  }
}

static void clear_vectors(uint64_t rows) {
  for (int i = 0; i < COLUMNS; i++) {
    vectors[i].has_mask = false;
    memset(vectors[i].data, 0xA5, 16 * rows);
  }
}

/* Read a result; return whether it was taken. */
static bool check(const struct type *type, uint64_t rows, uint32_t at, uint64_t allowed) {
  struct counts counts;
  clear_vectors(rows);
  if (!result_read(type, rows, memory, MEMORY, at, allowed, &vectors[0], &counts)) return false;
  if (counts.failed < 0 || (uint64_t)counts.failed > rows) abort();
  if (counts.compiled < 0 || counts.bailed < 0 || (uint64_t)(counts.compiled + counts.bailed) > rows) abort();
  check_column(type, rows, at, 0, &vectors[0]);
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
  clear_vectors(ROWS);
  if (!step_read(&columns, memory, MEMORY, at, allowed, NULL, &rows)) return false;
  if (rows > VECTOR_ROWS || word(at, 8) != rows) abort();
  uint64_t row_bitmap = is_row ? word(word(at + 40, 4), 4) : 0;
  for (uint64_t i = 0; i < columns.n_wanted; i++) {
    uint64_t column = is_row ? word(word(at + 44, 4) + 4 * order[i], 4) : at;
    check_column(type, rows, column, row_bitmap, &vectors[i]);
  }
  return true;
}

/* Change memory as the bytes of an input say: area, size, place and value of each change. */
static void change(const uint8_t *data, size_t size, const uint32_t *areas) {
  static const size_t SIZES[] = {1, 2, 4, 8};
  for (size_t i = 8; i + 8 <= size; i += 8) {
    uint64_t place = data[i + 2] | (uint64_t)data[i + 3] << 8;
    int32_t value;
    memcpy(&value, data + i + 4, sizeof value);
    put(areas[data[i] % 6] + place, (uint64_t)(int64_t)value, SIZES[data[i + 1] % 4]);
  }
}

/* For a fuzzer that looks at coverage: the first bytes say what is asked for, the others change a sound result. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  prepare();
  if (size < 8) return 0;
  const struct type *type = &TYPES[data[0] % N_TYPES];
  uint64_t rows = data[2] < 224 ? data[1] % 65 : (data[1] | (uint64_t)data[2] << 8) % (ROWS + 1);
  state = 1 + data[3];
  memset(memory, 0, MEMORY);
  /* Where the result is and what it may take: most of them where they should be. */
  uint32_t at = data[4] < 192 ? AT : MEMORY - (255 - data[4]) * 4 - data[5] % 4;
  uint64_t allowed = data[6] < 192 ? MEMORY : (uint64_t)(255 - data[6]) * (data[7] + 1);
  write_result(type, rows);
  if (at != AT && at + 136 <= MEMORY) memcpy(memory + at, memory + AT, 136);
  const uint32_t areas[] = {at, 8192, 16384, 32768, 65536, MEMORY - 65536};
  const uint32_t row_areas[] = {AT, ROW_AT, 16384, 32768, 65536, 8192};
  change(data, size, areas);
  check(type, rows, at, allowed);
  uint32_t output = (uint32_t)word(AT, 4);
  bool printed = has_printed(output, memory, MEMORY);
  if (output > MEMORY - 12 ? !printed : printed != (word(output + 4, 4) != 0 || word(output + 8, 4) != 0)) abort();
  bool is_row = data[3] % 2;
  if (is_row) write_row(rows);
  if (is_row && data[3] % 4 == 1) change(data, size, row_areas);
  check_step(type, at, allowed, is_row, data[3] / 4 % (COLUMNS + 1));
  return 0;
}

#ifndef LIBFUZZER
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

/* Read inputs in hexadecimal lines; return their number, or -1. */
static long replay(const char *path) {
  FILE *file = fopen(path, "r");
  long done = 0;
  char line[8192];
  uint8_t data[sizeof line / 2];
  if (file == NULL) return -1;
  while (fgets(line, sizeof line, file) != NULL) {
    size_t size = 0;
    for (unsigned byte; sscanf(line + 2 * size, "%2x", &byte) == 1; size++) data[size] = (uint8_t)byte;
    LLVMFuzzerTestOneInput(data, size);
    done += size > 0;
  }
  fclose(file);
  return done;
}

/* Read texts as results of two rows, which end with the memory: a file of sizes, of the whole and of the first row, in
 * 32 bits each, and bytes. Print for each whether it was taken. */
static int read_texts(const char *path) {
  static const struct type text = {.id = VARCHAR}, blob = {.id = BLOB};
  FILE *file = fopen(path, "rb");
  uint32_t sizes[2];
  if (file == NULL) return 1;
  prepare();
  memset(memory, 0, MEMORY);
  put(AT, 2, 8);
  put(AT + 24, 3, 8);
  put(AT + 40, 8192, 4);
  put(8196, 32768, 4);
  while (fread(sizes, sizeof sizes, 1, file) == 1) {
    uint32_t at = MEMORY - sizes[0];
    if (sizes[0] > 65536 || sizes[1] > sizes[0] || fread(memory + at, 1, sizes[0], file) != sizes[0]) return 1;
    put(8200, at, 4);
    put(32768 + 4, sizes[1], 4);
    put(32768 + 8, sizes[0], 4);
    if (!check(&blob, 2, AT, MEMORY)) abort(); /* any bytes are */
    putchar(check(&text, 2, AT, MEMORY) ? '1' : '0');
  }
  fclose(file);
  return 0;
}

int main(int count, char **arguments) {
  if (count == 2) {
    long done = replay(arguments[1]);
    printf("%ld inputs\n", done);
    return done < 0;
  }
  if (count != 3) return 2;
  if (strcmp(arguments[1], "texts") == 0) return read_texts(arguments[2]);
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
