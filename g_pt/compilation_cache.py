"""Compiled programs are kept in the user's cache folder, so that a second start does not compile again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
import platform
import warnings

# Names of JAX's settings, and the shortest compilation (seconds) whose program is worth a file.
_FOLDER, _SHORTEST = "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"
_WORTH_A_FILE = 0.1

# Where Linux describes the processors, and what tells one kind from another, on x86 and on ARM.
_CPUINFO = Path("/proc/cpuinfo")
_PROCESSOR_FIELDS = ("vendor_id", "cpu family", "model", "flags", "CPU implementer", "CPU part", "Features")


def keep_compiled_programs() -> Path | None:
  """From here on JAX keeps what it compiles for later processes; returns the folder.

  None: where the environment already chooses a folder, or none can be written.
  Call it before the import of JAX. JAX's own variables, such as
  JAX_ENABLE_COMPILATION_CACHE=0, stay in force.
  """
  # A program that cannot be read or written is compiled as if there were no cache.
  warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation cache entry")
  if _FOLDER in os.environ:
    return None
  try:
    folder = user_cache() / "g_pt" / "compiled" / processor()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
  except (OSError, RuntimeError):  # no home, or none that can be written
    return None
  if not os.access(folder, os.W_OK | os.X_OK):
    return None
  os.environ[_FOLDER] = str(folder)
  os.environ.setdefault(_SHORTEST, str(_WORTH_A_FILE))
  return folder


def processor() -> str:
  """A name for this machine's kind of processor and the count of its cores that may be used.

  XLA compiles for the processor that it finds; elsewhere the program would
  compute other digits, or end the process by an instruction that is not there.
  """
  cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
  kind = f"{_processor_fields() or platform.processor()}\n{cores} cores"
  return f"{platform.machine()}-{hashlib.sha256(kind.encode()).hexdigest()[:16]}"


def _processor_fields() -> str:
  """The lines that describe the first processor; empty where the kernel does not say."""
  try:
    first = _CPUINFO.read_text().partition("\n\n")[0]
  except OSError:
    return ""
  return "\n".join(line for line in first.splitlines() if line.partition(":")[0].strip() in _PROCESSOR_FIELDS)


def user_cache() -> Path:
  """XDG_CACHE_HOME, which must be absolute to count, or ~/.cache (XDG Base Directory Specification)."""
  chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
  return chosen if chosen.is_absolute() else Path.home() / ".cache"
