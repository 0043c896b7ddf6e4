"""How the C library's allocator treats the large buffers of compiled programs."""

from __future__ import annotations

import ctypes
import sys

# Options of mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
  """From here on the process keeps memory that is freed, and takes it again; returns whether that can be had.

  A program on XLA's CPU backend asks for its temporary memory at each call, and
  glibc maps so much anew each time: the kernel zeroes page by page what the
  program then overwrites. Call it before the first computation; elsewhere than
  on Linux with glibc it does nothing.
  """
  mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
  if mallopt is None:
    return False
  # One arena that grows, never mapped in parts and never cut.
  return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, -1)])
