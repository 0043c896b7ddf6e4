"""Memory that programs free stays with the process."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from g_pt.host_memory import keep_freed_memory

if "keep" in sys.argv and not keep_freed_memory():
  print("not here")
  sys.exit()
sizes = [100_000_000, 3_000_000, 50_000_000]
for size in sizes:
  np.ones(size, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for size in sizes * 3:
  np.ones(size, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> str:
  """Pages that the kernel had to bring while arrays were made that had been made before."""
  done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=True, capture_output=True, text=True)
  return done.stdout.strip()


def test_memory_that_was_freed_is_taken_again():
  kept = faults("keep")
  if kept == "not here":
    pytest.skip("no mallopt in the C library of this machine")
  assert int(kept) < 100
  assert int(faults()) > 1000  # otherwise this test sees nothing


def test_it_can_be_had_before_jax_is_there():
  program = "import sys, g_pt.host_memory; sys.exit('jax' in sys.modules)"
  subprocess.run([sys.executable, "-c", program], check=True)
