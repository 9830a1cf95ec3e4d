#include "compiled/text.h"

/* Regular expressions, as programs that wasm/python/_udf_compiler/regex_program.py makes of what CPython's own parser
 * makes of a pattern.
 *
 * The matcher tries alternatives in the order in which CPython's does, so it finds the same match. It remembers at
 * which positions which choice has been tried, because a second try would fail like the first one: a search takes time
 * in proportion to the text times the choices of the pattern. A program is a header and instructions, all words of 32
 * bits.
 */

enum {
  HEAD_FLAGS,     /* below */
  HEAD_SLOTS,     /* 2 for the match and 2 for each group: where it begins and ends */
  HEAD_STRIDE,    /* bytes of the marks of one position, a bit for each choice */
  HEAD_HAS_FIRST, /* whether the characters are known that a match begins with */
  HEAD_FIRST,     /* a bit for each of them that is ASCII, 4 words */
  HEAD_OTHER = 8, /* whether others may begin a match */
  HEAD_WORDS
};
enum { FLAG_ASCII = 1, FLAG_ANCHORED = 2 }; /* it wants text that is ASCII; it matches at the text's beginning only */

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

enum mode { MODE_SEARCH, MODE_MATCH, MODE_FULL };
enum outcome { FAILED, MATCHED, NO_ROOM };

#define UNSET UINT32_MAX

/* What to go on with if the present way fails: an instruction and a position, or a slot and what it was. */
struct job {
  uint32_t to, at;
};
#define JOB_SLOT (UINT32_C(1) << 31)

struct matcher {
  const uint32_t *program;
  text_t p;
  uint32_t n;
  uint32_t *slots;
  uint8_t *visited; /* HEAD_STRIDE bytes for each position */
  uint32_t touched; /* the last position that has marks */
  struct job *stack, *limit;
  bool whole; /* the match has to end where the text does */
  /* Room for results in the arena. */
  uint8_t *out, *out_end;
  /* Of the search for the next match. */
  uint32_t from;
  bool advance;
};

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

/* Match from a position on. With `advance` the match must not be empty. */
static enum outcome match_at(struct matcher *m, uint32_t start, bool advance) {
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

/* Search from a position on, where the match must not be empty with `advance`. */
static enum outcome search(struct matcher *m, uint32_t from, bool advance) {
  const uint32_t *program = m->program;
  for (uint32_t at = from;;) {
    if (program[HEAD_HAS_FIRST]) {
      for (; at < m->n; at++) {
        uint8_t c = m->p[at];
        if (c < 0x80 ? program[HEAD_FIRST + (c >> 5)] >> (c & 31) & 1 : program[HEAD_OTHER] && c >= 0xC0) break;
      }
      if (at >= m->n) return FAILED;
    }
    enum outcome outcome = match_at(m, at, advance && at == from);
    if (outcome != FAILED || at >= m->n || program[HEAD_FLAGS] & FLAG_ANCHORED) return outcome;
    at += point_length(m->p[at]);
  }
}

/* Prepare to match a text; whether there is room for it. The upper half of what is left of the arena is for the
 * matcher, the lower half for results. */
static bool prepare(struct matcher *m, const struct compiled_context *context, uint32_t program, text_t p, uint32_t n) {
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

/* Find the next match, as re.finditer does. */
static enum outcome next_match(struct matcher *m) {
  enum outcome outcome = search(m, m->from, m->advance);
  if (outcome != MATCHED) return outcome;
  m->from = m->slots[1];
  m->advance = m->slots[0] == m->slots[1];
  forget(m, m->slots[0]);
  return MATCHED;
}

/* Take room for results. NULL if there is none. */
static uint8_t *take_out(struct matcher *m, uint32_t n) {
  if (n > (uint32_t)(m->out_end - m->out)) return NULL;
  m->out += n;
  return m->out - n;
}

/* Write the match that was found where results go: the text, and the slots. 0 if there is no room. */
static uint64_t match_object(struct matcher *m) {
  uint32_t slots = m->program[HEAD_SLOTS];
  uint8_t *to = take_out(m, (8 + 4 * slots + 7) & ~7u);
  if (to == NULL) return 0;
  uint64_t text = packed(m->p, m->n);
  memcpy(to, &text, 8);
  memcpy(to + 8, m->slots, 4 * (size_t)slots);
  return packed(to, slots);
}

static uint64_t group_text(const struct matcher *m, uint32_t group) {
  uint32_t start = m->slots[2 * group], end = m->slots[2 * group + 1];
  return start == UNSET || end == UNSET ? packed(m->p, 0) : packed(m->p + start, end - start);
}

/* Finish with a list that begins at an address and ends where results do. */
static uint64_t list_from(struct compiled_context *context, const struct matcher *m, const uint8_t *list) {
  context->arena_at = (uint32_t)m->out;
  return packed(list, (uint32_t)(m->out - list) / 8);
}

static bool append_word(struct matcher *m, uint64_t word) {
  uint8_t *to = take_out(m, 8);
  if (to != NULL) memcpy(to, &word, 8);
  return to != NULL;
}

/* pattern.search(s), .match(s) and .fullmatch(s), by mode. 0 stands for None. */
uint64_t KERNEL(k_re_match)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n, int32_t mode) {
  struct matcher m;
  if (!prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  m.whole = mode == MODE_FULL;
  enum outcome outcome = mode == MODE_SEARCH ? search(&m, 0, false) : match_at(&m, 0, false);
  if (outcome == FAILED) return 0;
  uint64_t made = outcome == MATCHED ? match_object(&m) : 0;
  if (made == 0) return KERNEL_BAIL;
  context->arena_at = (uint32_t)m.out;
  return made;
}

/* pattern.findall(s) of a pattern with at most one group, by its number. */
uint64_t KERNEL(k_re_all)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n, int32_t group) {
  struct matcher m;
  enum outcome outcome;
  if (!prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *list = m.out;
  while ((outcome = next_match(&m)) == MATCHED) {
    if (!append_word(&m, group_text(&m, (uint32_t)group))) return KERNEL_BAIL;
  }
  return outcome == FAILED ? list_from(context, &m, list) : KERNEL_BAIL;
}

/* pattern.finditer(s), as a list of matches. */
uint64_t KERNEL(k_re_iter)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n) {
  struct matcher m;
  enum outcome outcome;
  if (!prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *first = m.out;
  uint32_t count = 0, slots = m.program[HEAD_SLOTS], size = (8 + 4 * slots + 7) & ~7u;
  for (; (outcome = next_match(&m)) == MATCHED; count++) {
    if (match_object(&m) == 0) return KERNEL_BAIL;
  }
  if (outcome != FAILED) return KERNEL_BAIL;
  const uint8_t *list = m.out;
  for (uint32_t i = 0; i < count; i++) {
    if (!append_word(&m, packed(first + i * size, slots))) return KERNEL_BAIL;
  }
  return list_from(context, &m, list);
}

/* pattern.split(s, most), with the groups between the parts. most: 0 for no bound. */
uint64_t KERNEL(k_re_split)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n, int64_t most) {
  struct matcher m;
  enum outcome outcome = FAILED;
  if (!prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *list = m.out;
  uint32_t last = 0;
  for (int64_t count = 0; (most == 0 || count < most) && (outcome = next_match(&m)) == MATCHED; count++) {
    if (!append_word(&m, packed(p + last, m.slots[0] - last))) return KERNEL_BAIL;
    for (uint32_t group = 1; 2 * group < m.program[HEAD_SLOTS]; group++) {
      if (m.slots[2 * group + 1] == UNSET) return KERNEL_BAIL; /* None */
      if (!append_word(&m, group_text(&m, group))) return KERNEL_BAIL;
    }
    last = m.slots[1];
  }
  if (outcome == NO_ROOM || !append_word(&m, packed(p + last, n - last))) return KERNEL_BAIL;
  return list_from(context, &m, list);
}

static bool append_bytes(struct matcher *m, text_t p, uint32_t n) {
  uint8_t *to = take_out(m, n);
  if (to != NULL) memcpy(to, p, n);
  return to != NULL;
}

/* pattern.sub(template, s, most). A template is a number of parts, then for each where it is among the constants and
 * its length, or UNSET and a group. most: 0 for no bound. */
uint64_t KERNEL(k_re_sub)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n, uint32_t template,
                          int64_t most) {
  struct matcher m;
  enum outcome outcome = FAILED;
  if (!prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint32_t *parts = (const uint32_t *)(context->constants + template);
  const uint8_t *text = m.out;
  uint32_t last = 0;
  int64_t count = 0;
  for (; (most == 0 || count < most) && (outcome = next_match(&m)) == MATCHED; count++) {
    if (!append_bytes(&m, p + last, m.slots[0] - last)) return KERNEL_BAIL;
    for (uint32_t i = 0; i < parts[0]; i++) {
      uint32_t at = parts[1 + 2 * i], length = parts[2 + 2 * i];
      uint64_t group = at == UNSET ? group_text(&m, length) : packed(context->constants + at, length);
      if (!append_bytes(&m, (text_t)(uint32_t)(group >> 32), (uint32_t)group)) return KERNEL_BAIL;
    }
    last = m.slots[1];
  }
  if (outcome == NO_ROOM) return KERNEL_BAIL;
  if (count == 0) return packed(p, n);
  if (!append_bytes(&m, p + last, n - last)) return KERNEL_BAIL;
  uint32_t made = (uint32_t)(m.out - text);
  context->arena_at = ((uint32_t)m.out + 7) & ~7u;
  return made > MAX_TEXT ? KERNEL_BAIL : packed(text, made);
}
