#include "compiled/regex.h"

/* Methods of compiled patterns. A match is the text, as one number, and the slots of the matcher behind it. */

enum mode { MODE_SEARCH, MODE_MATCH, MODE_FULL };

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
  if (!regex_prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  m.whole = mode == MODE_FULL;
  enum outcome outcome = mode == MODE_SEARCH ? regex_search(&m, 0, false) : regex_match_at(&m, 0, false);
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
  if (!regex_prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *list = m.out;
  while ((outcome = regex_next(&m)) == MATCHED) {
    if (!append_word(&m, group_text(&m, (uint32_t)group))) return KERNEL_BAIL;
  }
  return outcome == FAILED ? list_from(context, &m, list) : KERNEL_BAIL;
}

/* pattern.finditer(s), as a list of matches. */
uint64_t KERNEL(k_re_iter)(struct compiled_context *context, uint32_t program, text_t p, uint32_t n) {
  struct matcher m;
  enum outcome outcome;
  if (!regex_prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *first = m.out;
  uint32_t count = 0, slots = m.program[HEAD_SLOTS], size = (8 + 4 * slots + 7) & ~7u;
  for (; (outcome = regex_next(&m)) == MATCHED; count++) {
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
  if (!regex_prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint8_t *list = m.out;
  uint32_t last = 0;
  for (int64_t count = 0; (most == 0 || count < most) && (outcome = regex_next(&m)) == MATCHED; count++) {
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
  if (!regex_prepare(&m, context, program, p, n)) return KERNEL_BAIL;
  const uint32_t *parts = (const uint32_t *)(context->constants + template);
  const uint8_t *text = m.out;
  uint32_t last = 0;
  int64_t count = 0;
  for (; (most == 0 || count < most) && (outcome = regex_next(&m)) == MATCHED; count++) {
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
