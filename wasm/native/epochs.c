/* When rows that nobody wants any more are released.
 *
 * DuckDB destroys the states of an aggregate function unless a query ends while it reads the results of groups: by
 * LIMIT, by an error, by an interrupt. Then it forgets them, and nothing in its API reports the end of a query. But its
 * catalog frees a function that was replaced when no transaction is left that could see it, hence when every query has
 * ended that ran then. So groups belong to an epoch, and the epoch to a SQL function, which is replaced now and then.
 *
 * One kind of query has no such transaction: EXECUTE of a prepared statement without parameters. A query that replaces
 * the function sees whether the old one is freed at once, and keeps its rows then. Those of another query could be
 * released too early. Therefore states are checked: a group has a number, which changes when it is released, and its
 * memory is used for groups only. What is released is freed when no call runs that could have found it before.
 */
#include "epochs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "groups.h"

/* What groups belong to that began at about the same time. */
struct epoch {
  struct collector *collector;
  struct group *groups;
};

/* What the states of one aggregate function share. */
struct collector {
  atomic_int references; /* of functions and epochs */
  spin_lock lock;        /* of what follows, and of the lists of groups */
  struct epoch *current;
  struct epoch *replaced, *starting; /* while another one becomes current */
  atomic_int advancing;
  void *database;
  char name[64];
};

/* Groups that are free, in chains so that threads take many at once, and groups that will be when no call runs. */
#define CHAIN 64
static spin_lock groups_lock;
static struct group *free_chains, *dead_groups;
static atomic_int calling;

/* Those of this thread. */
static _Thread_local int calling_here;

/* ---- free groups ------------------------------------------------------------------------------------------------- */

/* Have the processor fetch a group into its caches: what is used first, and what links it to others. */
static void fetch_group(const struct group *group) {
  if (group == NULL) return;
  __builtin_prefetch(group, 1);
  __builtin_prefetch(&group->next, 1);
}

/* Return a chain of free groups; NULL if there is no memory. */
static struct group *chain_take(void) {
  lock(&groups_lock);
  struct group *first = free_chains;
  if (first != NULL) free_chains = first->next_chain;
  unlock(&groups_lock);
  if (first != NULL) return first;
  uint8_t *memory = calloc(CHAIN + 1, sizeof *first); /* it is never given back */
  if (memory == NULL) return NULL;
  first = (struct group *)(memory + (64 - (uintptr_t)memory % 64)); /* each begins a line of the processor's caches */
  for (int i = 0; i + 1 < CHAIN; i++) first[i].next = &first[i + 1];
  return first;
}

/* Have chains of free groups be taken again. */
static void chains_free(struct group *first, struct group *last) {
  lock(&groups_lock);
  last->next_chain = free_chains;
  free_chains = first;
  unlock(&groups_lock);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

void callback_enter(void) {
  calling_here++;
  atomic_fetch_add(&calling, 1);
}

/* In a child process that was forked, forget the calls that run: it hasn't got their threads, and the call that this
 * thread is in may never end. Dead groups would not be freed any more. What the groups of their queries hold stays, and
 * doesn't count any more. */
void epochs_after_fork(void) {
  atomic_store(&calling, 0);
  calling_here = 0;
  forget_held();
}

/* Release the rows of a list of groups, and have these be taken again. */
static void clear_groups(struct group *dead) {
  struct group *chains = NULL, *last = dead, *next;
  for (struct group *first = dead; first != NULL; first = next) {
    struct group *group = first;
    for (int i = 1;; i++) {
      fetch_group(group->next);
      group_clear(group);
      if (i == CHAIN || group->next == NULL) break;
      group = group->next;
    }
    next = group->next;
    group->next = NULL;
    first->next_chain = chains;
    chains = first;
  }
  if (dead != NULL) chains_free(chains, last);
}

/* Free what is dead, unless a call runs that may have found it before. */
static void bury(void) {
  lock(&groups_lock);
  struct group *dead = NULL;
  if (atomic_load(&calling) == 0) {
    dead = dead_groups;
    dead_groups = NULL;
  }
  unlock(&groups_lock);
  clear_groups(dead);
}

void callback_leave(void) {
  if (calling_here == 0) return; /* it began before a fork */
  calling_here--;
  if (atomic_fetch_sub(&calling, 1) == 1) bury();
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static bool is_current(const struct state *state) {
  return state->group != NULL && atomic_load(&state->group->number) == state->number;
}

/* Return the group of a state; NULL if it has none. */
struct group *group_of(struct state *state) { return is_current(state) ? state->group : NULL; }

static void link_group(struct epoch *epoch, struct group *group) {
  group->next = epoch->groups;
  group->at = &epoch->groups;
  if (epoch->groups != NULL) epoch->groups->at = &group->next;
  epoch->groups = group;
}

/* Have a state without a group have one; false if there is no memory, or the rows it had are released. */
bool group_make(struct state *state, struct new_groups *made) {
  if (state->group != NULL) return false;
  if (made->free == NULL) made->free = chain_take();
  struct group *group = made->free;
  if (group == NULL) return false;
  made->free = group->next;
  fetch_group(made->free);
  group_start(group);
  group->collector = made->collector;
  group->next = made->first;
  made->first = group;
  made->bytes += sizeof *group;
  state->group = group;
  state->number = atomic_load(&group->number);
  return true;
}

/* Have new groups belong to the current epoch, before DuckDB or another thread can find them. */
void groups_begin(struct new_groups *made) {
  if (made->first != NULL) {
    lock(&made->collector->lock);
    for (struct group *group = made->first, *next; group != NULL; group = next) {
      next = group->next;
      link_group(made->collector->current, group);
    }
    unlock(&made->collector->lock);
    hold(made->bytes);
  }
  if (made->free != NULL) chains_free(made->free, made->free);
}

/* Groups that nobody finds any more. */
struct dead {
  struct group *first, *last;
};

/* Have nobody find a group any more. Its collector's lock is held. */
static void kill_group(struct group *group, struct dead *dead) {
  atomic_fetch_add(&group->number, 1);
  *group->at = group->next;
  if (group->next != NULL) group->next->at = group->at;
  group->next = dead->first;
  dead->first = group;
  if (dead->last == NULL) dead->last = group;
}

/* Have groups freed when no call runs. */
static void give_up(const struct dead *dead) {
  if (dead->first == NULL) return;
  lock(&groups_lock);
  dead->last->next = dead_groups;
  dead_groups = dead->first;
  unlock(&groups_lock);
}

/* States by which groups are fetched before they are used. */
#define AHEAD 8

/* What DuckDB calls when it has the results, or wants none any more. */
void groups_free(void **states, uint64_t n) {
  struct dead dead = {0};
  struct collector *collector = NULL; /* that is locked: it is the same for all, but for states that are released */
  callback_enter();
  for (uint64_t i = 0; i < n; i++) {
    struct state *state = states[i];
    if (i + AHEAD < n) fetch_group(((const struct state *)states[i + AHEAD])->group);
    if (group_of(state) != NULL && state->group->collector != collector) {
      if (collector != NULL) unlock(&collector->lock);
      collector = state->group->collector;
      lock(&collector->lock);
    }
    if (group_of(state) != NULL) kill_group(state->group, &dead);
    state->group = NULL;
  }
  if (collector != NULL) unlock(&collector->lock);
  if (atomic_load(&calling) == 1) { /* no other call runs: at once, while the processor's caches have them */
    clear_groups(dead.first);
  } else {
    give_up(&dead);
  }
  callback_leave();
}

/* ---- epochs ------------------------------------------------------------------------------------------------------ */

void collector_hold(struct collector *collector) { atomic_fetch_add(&collector->references, 1); }

void collector_release(struct collector *collector) {
  if (atomic_fetch_sub(&collector->references, 1) == 1) free(collector);
}

static struct epoch *epoch_new(struct collector *collector) {
  struct epoch *epoch = calloc(1, sizeof *epoch);
  if (epoch == NULL) return NULL;
  epoch->collector = collector;
  collector_hold(collector);
  return epoch;
}

/* DuckDB has freed the function of an epoch. */
static void epoch_free(void *extra) {
  struct epoch *epoch = extra;
  struct collector *collector = epoch->collector;
  struct dead dead = {0};
  lock(&collector->lock);
  struct epoch *heir = NULL;
  if (epoch == collector->replaced) { /* at once: the query that replaces it has no transaction */
    heir = collector->current;
    collector->replaced = NULL;
  } else if (epoch == collector->starting) { /* DuckDB hasn't taken it */
    heir = collector->current = collector->replaced;
    collector->starting = collector->replaced = NULL;
  }
  while (epoch->groups != NULL) {
    struct group *group = epoch->groups;
    if (heir == NULL) {
      kill_group(group, &dead);
    } else {
      epoch->groups = group->next;
      if (group->next != NULL) group->next->at = &epoch->groups;
      link_group(heir, group);
    }
  }
  unlock(&collector->lock);
  give_up(&dead);
  free(epoch);
  collector_release(collector);
  bury();
}

static void nothing(void *info, void *input, void *output) { (void)info, (void)input, (void)output; }

/* Register an epoch's function, in place of that of another one; false if DuckDB refuses, and then it is freed. */
static bool epoch_register(struct epoch *epoch, void *connection) {
  void *function = D.duckdb_create_scalar_function(), *type = D.duckdb_create_logical_type(BOOLEAN);
  D.duckdb_scalar_function_set_name(function, epoch->collector->name);
  D.duckdb_scalar_function_add_parameter(function, type);
  D.duckdb_scalar_function_set_return_type(function, type);
  D.duckdb_scalar_function_set_extra_info(function, epoch, epoch_free);
  D.duckdb_scalar_function_set_function(function, nothing);
  int32_t state = D.duckdb_register_scalar_function(connection, function);
  D.duckdb_destroy_logical_type(&type);
  D.duckdb_destroy_scalar_function(&function);
  return state == 0;
}

/* Make what the states of an aggregate function share, and its first epoch; NULL if DuckDB refuses. */
struct collector *collector_new(void *database, void *connection) {
  static _Atomic(uint64_t) last;
  struct collector *collector = calloc(1, sizeof *collector);
  if (collector == NULL) return NULL;
  atomic_store(&collector->references, 1);
  collector->database = database;
  snprintf(collector->name, sizeof collector->name, "wasi_udf_groups_%" PRIxPTR "_%" PRIu64, (uintptr_t)epoch_free,
           atomic_fetch_add(&last, 1));
  collector->current = epoch_new(collector);
  if (collector->current == NULL || !epoch_register(collector->current, connection)) {
    collector_release(collector);
    return NULL;
  }
  return collector;
}

/* Begin an epoch: what was there before is released when the queries that run have ended. */
void collector_advance(struct collector *collector) {
  void *connection;
  if (atomic_exchange(&collector->advancing, 1)) return;
  struct epoch *next = connect_to(collector->database, &connection) == 0 ? epoch_new(collector) : NULL;
  if (next != NULL) {
    lock(&collector->lock);
    collector->replaced = collector->current;
    collector->current = collector->starting = next; /* before others can see it: their groups are its */
    unlock(&collector->lock);
    epoch_register(next, connection);
    D.duckdb_query(connection, "SELECT abs(-1)", NULL); /* DuckDB frees what nobody sees when a transaction ends */
    lock(&collector->lock);
    collector->replaced = collector->starting = NULL;
    unlock(&collector->lock);
    D.duckdb_disconnect(&connection);
  }
  atomic_store(&collector->advancing, 0);
}
