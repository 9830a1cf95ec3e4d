#include "scrypt.h"

#include <stdint.h>
#include <string.h>

/* Names and steps are those of RFC 7914 (https://www.rfc-editor.org/rfc/rfc7914), sections 3 to 5. The guest is
 * little-endian, as the algorithm is. */
#define SALSA_WORDS 16

static inline uint32_t rotated(uint32_t word, int bits) { return (word << bits) | (word >> (32 - bits)); }

static void quarter_round(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d) {
  *b ^= rotated(*a + *d, 7);
  *c ^= rotated(*b + *a, 9);
  *d ^= rotated(*c + *b, 13);
  *a ^= rotated(*d + *c, 18);
}

/* XOR `block` into `x`, and apply Salsa20/8 to it. */
static void salsa(uint32_t x[SALSA_WORDS], const uint32_t *block) {
  uint32_t before[SALSA_WORDS];
  for (int i = 0; i < SALSA_WORDS; i++) before[i] = x[i] ^= block[i];
  for (int round = 0; round < 8; round += 2) {
    for (int i = 0; i < 4; i++) {
      int at = i * 5; /* on the diagonal */
      quarter_round(&x[at], &x[(at + 4) % 16], &x[(at + 8) % 16], &x[(at + 12) % 16]);
    }
    for (int i = 0; i < 4; i++) {
      uint32_t *row = &x[i * 4];
      quarter_round(&row[i], &row[(i + 1) % 4], &row[(i + 2) % 4], &row[(i + 3) % 4]);
    }
  }
  for (int i = 0; i < SALSA_WORDS; i++) x[i] += before[i];
}

/* scryptBlockMix. `blocks` has 2 * r blocks, `mixed` room for as many. */
static void mix_blocks(const uint32_t *blocks, uint32_t *mixed, uint32_t r) {
  uint32_t x[SALSA_WORDS];
  memcpy(x, blocks + (2 * r - 1) * SALSA_WORDS, sizeof x);
  for (uint32_t i = 0; i < 2 * r; i++) {
    salsa(x, blocks + i * SALSA_WORDS);
    memcpy(mixed + (i / 2 + (i % 2) * r) * SALSA_WORDS, x, sizeof x);
  }
}

/* scryptROMix of `blocks`, in place. `table` has room for n + 1 times as much. */
static void mix(uint32_t *blocks, uint32_t *table, uint32_t n, uint32_t r) {
  uint32_t words = 2 * r * SALSA_WORDS, *mixed = table + (size_t)n * words;
  for (uint32_t i = 0; i < n; i++) {
    memcpy(table + (size_t)i * words, blocks, words * sizeof *blocks);
    mix_blocks(blocks, mixed, r);
    memcpy(blocks, mixed, words * sizeof *blocks);
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t j = blocks[(2 * r - 1) * SALSA_WORDS] & (n - 1); /* Integerify; n is a power of 2 */
    for (uint32_t word = 0; word < words; word++) blocks[word] ^= table[(size_t)j * words + word];
    mix_blocks(blocks, mixed, r);
    memcpy(blocks, mixed, words * sizeof *blocks);
  }
}

static PyObject *scrypt_mix(PyObject *module, PyObject *arguments) {
  (void)module;
  Py_buffer block;
  unsigned int n, r;
  if (!PyArg_ParseTuple(arguments, "y*II", &block, &n, &r)) return NULL;
  PyObject *result = NULL;
  uint64_t bytes = 128ULL * r;
  if ((uint64_t)block.len != bytes || r == 0 || n < 2 || (n & (n - 1)) != 0) {
    PyErr_SetString(PyExc_ValueError, "the block must have 128 * r bytes, and n must be a power of 2");
  } else if (bytes > PY_SSIZE_T_MAX / ((uint64_t)n + 1)) {
    PyErr_NoMemory();
  } else {
    uint32_t *table = PyMem_RawMalloc((size_t)(bytes * (n + 1)));
    result = table == NULL ? PyErr_NoMemory() : PyBytes_FromStringAndSize(block.buf, block.len);
    if (result != NULL) mix((uint32_t *)PyBytes_AS_STRING(result), table, n, r); /* on whole words, as bytes are */
    PyMem_RawFree(table);
  }
  PyBuffer_Release(&block);
  return result;
}

static PyMethodDef functions[] = {
    {"scrypt_mix", scrypt_mix, METH_VARARGS, "scrypt_mix(block, n, r) -> bytes: scryptROMix of RFC 7914."},
    {NULL, NULL, 0, NULL},
};

int scrypt_add_functions(PyObject *module) { return PyModule_AddFunctions(module, functions); }
