"""A fork while other threads hold spin locks of the library: nothing is locked in the child, or half changed."""

import subprocess
import sys

import pytest

from tests.native.fuzz import SOURCES
from wasm.build.native import zig

# Two threads hold a lock most of the time, and change two numbers under it that are equal otherwise.
PROGRAM = """
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "calls.h"

static spin_lock at;
static volatile uint64_t first, second;
static atomic_int ended;

static void *change(void *unused) {
  while (!atomic_load(&ended)) {
    lock(&at);
    first++;
    for (volatile int i = 0; i < 3000; i++) continue;
    second++;
    unlock(&at);
  }
  return unused;
}

int main(void) {
  pthread_t threads[2];
  int wrong = 0;
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, change, NULL);
  for (int i = 0; i < 200; i++) {
    int status;
    if (fork() == 0) {
      if (atomic_load(&at) != 0 || first != second) _exit(1);
      lock(&at);
      unlock(&at);
      _exit(0);
    }
    wait(&status);
    wrong += status != 0;
  }
  atomic_store(&ended, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  printf("%d", wrong);
  return 0;
}
"""


def test_a_child_has_no_lock_of_threads_that_it_has_not(tmp_path):
    if sys.platform == "win32":
        pytest.skip("there is no fork here")
    (tmp_path / "forks.c").write_text(PROGRAM, encoding="ascii")
    compiler = zig()
    assert compiler is not None
    files = [tmp_path / "forks.c", SOURCES / "system.c"]
    program = tmp_path / "forks"
    flags = ["-std=gnu23", "-O2", f"-I{SOURCES}", "-o", program]
    subprocess.run([*compiler, *flags, *files], check=True, capture_output=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0"
