#include "compiled/regex.h"

enum instruction {
  OP_MATCH,
  OP_BYTE,  /* the byte */
  OP_SET,   /* a set: where it is in the program */
  OP_RUN,   /* a set: as many characters of it as there are, without going back */
  OP_NEXT,  /* a choice's number, and where to go if what follows fails */
  OP_LATER, /* a choice's number, and where to go first, before what follows */
  OP_JUMP,  /* where to go */
  OP_SAVE,  /* a slot */
  OP_AT,    /* a place */
  OP_FAIL
};
enum place {
  AT_BEGINNING,
  AT_LINE,
  AT_END,
  AT_LINE_END,
  AT_VERY_END,
  AT_EDGE,
  AT_NO_EDGE,
  AT_ASCII_EDGE,
  AT_NO_ASCII_EDGE
};

/* A set: a bit for each ASCII character, then what is known of others. */
enum { SET_MODE = 4, SET_NEGATED, SET_ITEMS, SET_FIRST_ITEM };
enum { MODE_NEVER, MODE_ALWAYS, MODE_LOOK };
enum item { ITEM_RANGE, ITEM_WORD, ITEM_DIGIT, ITEM_SPACE, ITEM_NO_WORD, ITEM_NO_DIGIT, ITEM_NO_SPACE };

static inline bool is_word(uint32_t c) { return Py_UNICODE_ISALNUM(c) || c == '_'; }

static bool item_has(const uint32_t *item, uint32_t c) {
  switch ((enum item)item[0]) {
    case ITEM_RANGE:
      return c >= item[1] && c <= item[2];
    case ITEM_WORD:
      return is_word(c);
    case ITEM_DIGIT:
      return Py_UNICODE_ISDECIMAL(c);
    case ITEM_SPACE:
      return Py_UNICODE_ISSPACE(c);
    case ITEM_NO_WORD:
      return !is_word(c);
    case ITEM_NO_DIGIT:
      return !Py_UNICODE_ISDECIMAL(c);
    case ITEM_NO_SPACE:
      return !Py_UNICODE_ISSPACE(c);
  }
  return false;
}

/* Return the code point at p. */
static uint32_t point_of(text_t p) {
  uint32_t n = point_length(p[0]), point = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
  for (uint32_t i = 1; i < n; i++) point = point << 6 | (p[i] & 0x3F);
  return point;
}

static bool set_has_other(const uint32_t *set, text_t p) {
  if (set[SET_MODE] != MODE_LOOK) return set[SET_MODE] == MODE_ALWAYS;
  uint32_t c = point_of(p);
  for (uint32_t i = 0; i < set[SET_ITEMS]; i++) {
    if (item_has(set + SET_FIRST_ITEM + 3 * i, c)) return !set[SET_NEGATED];
  }
  return set[SET_NEGATED];
}

/* Return the length of the character at p if a set has it, else 0. */
static inline uint32_t set_takes(const uint32_t *set, text_t p) {
  uint8_t c = p[0];
  if (c < 0x80) return set[c >> 5] >> (c & 31) & 1;
  return set_has_other(set, p) ? point_length(c) : 0;
}

static bool word_at(text_t p, bool ascii) {
  uint32_t c = point_of(p);
  return c < 0x80 ? (c | 0x20) - 'a' < 26 || c - '0' < 10 || c == '_' : !ascii && is_word(c);
}

static bool at_edge(const struct matcher *m, uint32_t at, bool ascii) {
  uint32_t before = at;
  while (before > 0 && (m->p[--before] & 0xC0) == 0x80) {
  }
  return (at > 0 && word_at(m->p + before, ascii)) != (at < m->n && word_at(m->p + at, ascii));
}

static bool is_at(const struct matcher *m, enum place place, uint32_t at) {
  text_t p = m->p;
  uint32_t n = m->n;
  switch (place) {
    case AT_BEGINNING:
      return at == 0;
    case AT_LINE:
      return at == 0 || p[at - 1] == '\n';
    case AT_END:
      return at == n || (at + 1 == n && p[at] == '\n');
    case AT_LINE_END:
      return at == n || p[at] == '\n';
    case AT_VERY_END:
      return at == n;
    case AT_EDGE: /* empty text has neither the one nor the other */
    case AT_ASCII_EDGE:
      return n > 0 && at_edge(m, at, place == AT_ASCII_EDGE);
    case AT_NO_EDGE:
    case AT_NO_ASCII_EDGE:
      return n > 0 && !at_edge(m, at, place == AT_NO_ASCII_EDGE);
  }
  return false;
}

/* Note that a choice is tried. Returns whether it has been tried at the same position before. */
static inline bool tried(struct matcher *m, uint32_t choice, uint32_t at) {
  uint8_t *mark = m->visited + at * m->program[HEAD_STRIDE] + (choice >> 3), bit = (uint8_t)(1 << (choice & 7));
  bool before = *mark & bit;
  *mark |= bit;
  if (at > m->touched) m->touched = at;
  return before;
}

enum outcome regex_match_at(struct matcher *m, uint32_t start, bool advance) {
  const uint32_t *program = m->program, *pc = program + HEAD_WORDS;
  text_t p = m->p;
  uint32_t n = m->n, at = start, k, slots = program[HEAD_SLOTS];
  struct job *top = m->stack;
  for (uint32_t i = 2; i < slots; i++) m->slots[i] = UNSET;
  for (;;) {
    switch ((enum instruction)pc[0]) {
      case OP_BYTE:
        if (at >= n || p[at] != pc[1]) break;
        at++;
        pc += 2;
        continue;
      case OP_SET:
        if (at >= n || (k = set_takes(program + pc[1], p + at)) == 0) break;
        at += k;
        pc += 2;
        continue;
      case OP_RUN:
        while (at < n && (k = set_takes(program + pc[1], p + at)) > 0) at += k;
        pc += 2;
        continue;
      case OP_NEXT:
      case OP_LATER:
        if (tried(m, pc[1], at)) break;
        if (top == m->limit) return NO_ROOM;
        bool later = pc[0] == OP_LATER;
        *top++ = (struct job){later ? (uint32_t)(pc + 3 - program) : pc[2], at};
        pc = later ? program + pc[2] : pc + 3;
        continue;
      case OP_JUMP:
        pc = program + pc[1];
        continue;
      case OP_SAVE:
        if (top == m->limit) return NO_ROOM;
        *top++ = (struct job){JOB_SLOT | pc[1], m->slots[pc[1]]};
        m->slots[pc[1]] = at;
        pc += 2;
        continue;
      case OP_AT:
        if (!is_at(m, (enum place)pc[1], at)) break;
        pc += 2;
        continue;
      case OP_MATCH:
        if ((m->whole && at != n) || (advance && at == start)) break;
        m->slots[0] = start;
        m->slots[1] = at;
        return MATCHED;
      case OP_FAIL:
        break;
    }
    for (;;) {
      if (top == m->stack) return FAILED;
      top--;
      if ((top->to & JOB_SLOT) == 0) break;
      m->slots[top->to & ~JOB_SLOT] = top->at;
    }
    pc = program + top->to;
    at = top->at;
  }
}

/* Forget what was tried from a position on. */
static void forget(struct matcher *m, uint32_t from) {
  uint32_t stride = m->program[HEAD_STRIDE];
  if (m->touched >= from) memset(m->visited + from * stride, 0, (size_t)(m->touched - from + 1) * stride);
  m->touched = from;
}

enum outcome regex_search(struct matcher *m, uint32_t from, bool advance) {
  const uint32_t *program = m->program;
  for (uint32_t at = from;;) {
    if (program[HEAD_HAS_FIRST]) {
      for (; at < m->n; at++) {
        uint8_t c = m->p[at];
        if (c < 0x80 ? program[HEAD_FIRST + (c >> 5)] >> (c & 31) & 1 : program[HEAD_OTHER] && c >= 0xC0) break;
      }
      if (at >= m->n) return FAILED;
    }
    enum outcome outcome = regex_match_at(m, at, advance && at == from);
    if (outcome != FAILED || at >= m->n || program[HEAD_FLAGS] & FLAG_ANCHORED) return outcome;
    at += point_length(m->p[at]);
  }
}

bool regex_prepare(struct matcher *m, const struct compiled_context *context, uint32_t program, text_t p, uint32_t n) {
  *m = (struct matcher){.program = (const uint32_t *)(context->constants + program), .p = p, .n = n};
  if (m->program[HEAD_FLAGS] & FLAG_ASCII && !is_ascii(p, n)) return false;
  uint32_t begin = (context->arena_at + 7) & ~7u, end = context->arena_end & ~7u;
  uint32_t slots = (m->program[HEAD_SLOTS] * 4 + 7) & ~7u;
  uint64_t marks = ((uint64_t)n + 1) * m->program[HEAD_STRIDE];
  if (begin + slots + 1024 > end || marks > (end - begin - slots) / 4) return false;
  m->slots = (uint32_t *)begin;
  m->visited = (uint8_t *)((end - (uint32_t)marks) & ~7u);
  memset(m->visited, 0, (size_t)marks);
  m->limit = (struct job *)m->visited;
  m->out = (uint8_t *)(begin + slots);
  m->out_end = m->out + (((uint32_t)(m->visited - m->out) / 2) & ~7u);
  m->stack = (struct job *)m->out_end;
  return true;
}

enum outcome regex_next(struct matcher *m) {
  enum outcome outcome = regex_search(m, m->from, m->advance);
  if (outcome != MATCHED) return outcome;
  m->from = m->slots[1];
  m->advance = m->slots[0] == m->slots[1];
  forget(m, m->slots[0]);
  return MATCHED;
}
