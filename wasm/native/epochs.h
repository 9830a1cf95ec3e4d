/* When rows that nobody wants any more are released. */
#ifndef NATIVE_EPOCHS_H
#define NATIVE_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

struct group;
struct state;
struct collector;

/* Groups that a call of DuckDB's makes. */
struct new_groups {
  struct collector *collector;
  struct group *first, *free; /* made, and some that it can have */
  uint64_t bytes;
};

struct collector *collector_new(void *database, void *connection);
void collector_hold(struct collector *);
void collector_release(struct collector *);
void collector_advance(struct collector *);

void epochs_after_fork(void);
void callback_enter(void);
void callback_leave(void);
struct group *group_of(struct state *);
bool group_make(struct state *, struct new_groups *);
void groups_begin(struct new_groups *);
void groups_free(void **states, uint64_t n);

#endif
