"""The processes of one job: how they find each other, which of them writes, and how they end.

Each process runs the same `main.py` and sees the devices of all. A collective
joins what they compute; files are written by the first, checkpoints and the
groups of a corpus by all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
from pathlib import Path
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import NamedTuple, NoReturn

import jax
from jax.experimental import multihost_utils
from jaxtyping import PyTree
import numpy as np

from g_pt import workdir
from g_pt.errors import UserError

FOLDER = "processes"  # in the workdir: who came, while a job begins
_LINGER = 24 * 3600  # seconds that others wait for the first one to evaluate
_GRACE = 30  # seconds that JAX itself waits longer, which then ends the process without a word
_LOST = ("Gloo", "coordination service", "Connection closed", "heartbeat", "DEADLINE_EXCEEDED", "UNAVAILABLE")


class Job(NamedTuple):
  """Where the processes meet; all None: the batch system tells (SLURM, Kubernetes, TPU)."""

  coordinator: str | None = None  # HOST:PORT of the first process
  processes: int | None = None
  process: int | None = None  # number of this one, from 0
  timeout: int = 300  # seconds to wait for the others


class Preempted(Exception):
  """The process was asked to end (SIGTERM), and did; the message tells where it stopped."""


def join(job: Job, directory: Path) -> None:
  """Waits until all processes are there; ends this one, with a line that names who is missing, where some do not come.

  `directory` is the workdir, which all of them see.
  """
  came = directory / FOLDER / (f"{job.process}" if job.process is not None else f"{socket.gethostname()}.{os.getpid()}")
  workdir.write_json(came, {"host": socket.gethostname(), "process": job.process, "time": time.time()})
  waiting = threading.Timer(job.timeout, lambda: _give_up(job, directory))
  waiting.daemon = True
  waiting.start()
  try:
    jax.distributed.initialize(
      job.coordinator,
      job.processes,
      job.process,
      initialization_timeout=job.timeout + _GRACE,
      heartbeat_timeout_seconds=min(100, job.timeout),
      shutdown_timeout_seconds=_LINGER,
    )
  except (ValueError, RuntimeError) as error:
    raise UserError(f"the processes of this job cannot be joined: {' '.join(str(error).split())[:300]}") from None
  finally:
    waiting.cancel()
    came.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others are still there, or have taken it away
      came.parent.rmdir()


def _give_up(job: Job, directory: Path) -> None:
  recent = [workdir.read_json(file) or {} for file in (directory / FOLDER).iterdir()]
  there = [entry for entry in recent if time.time() - entry.get("time", 0) < job.timeout + _GRACE]
  hosts = ", ".join(sorted({entry["host"] for entry in there}))
  text = f"not all processes of this job came within {job.timeout} s"
  if job.processes is not None:
    missing = sorted(set(range(job.processes)) - {entry["process"] for entry in there})
    named = ", ".join(map(str, missing)) or f"none, but nobody answers at {job.coordinator}"
    text = f"{text}; of {job.processes}, missing: {named}"
  _end(f"{text}; waiting here: {hosts}")


def _end(message: str) -> None:
  """Ends this process at once, as the others may be gone: nothing waits for them."""
  print(f"main.py: {message}", file=sys.stderr, flush=True)
  os._exit(3)


def leave(status: int) -> NoReturn:
  """Ends this process; one of several at once, as it would wait for others that wait for it. So they are told, too."""
  if jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
  sys.exit(status)


def all_say(yes: bool) -> bool:
  """Whether every process says so; to be asked by all at once."""
  if jax.process_count() == 1:
    return yes
  return bool(np.all(multihost_utils.process_allgather(np.array(yes))))


def first() -> bool:
  """Whether this is the process that writes logs, settings and pages."""
  return jax.process_index() == 0


def wait(name: str) -> None:
  """Until all processes are at the same point."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def on_host(tree: PyTree) -> PyTree:
  """Whole arrays in this process's memory, wherever their parts lie; to be called by all processes at once."""
  if jax.process_count() > 1:
    return multihost_utils.process_allgather(tree, tiled=True)
  return jax.device_get(tree)


@contextlib.contextmanager
def loss_of_others_told(where: Callable[[], str]) -> Iterator[None]:
  """Ends the process with one line where another one is gone; `where` tells from where the next start goes on."""
  try:
    yield
  except Exception as error:
    if jax.process_count() == 1 or not any(word in str(error) for word in _LOST):
      raise
    reason = " ".join(str(error).split())[:160]
    _end(f"another process of this job is gone ({reason}); start all of them again: {where()}")


class Preemption:
  """Whether this process, or with it all others, was asked to end; a context manager.

  A batch system sends SIGTERM some time before it kills. One process looks at
  its own; of several, all are told, and agree on a step after which they stop.
  """

  def __init__(self) -> None:
    self._asked = False

  def __enter__(self) -> Preemption:
    # Of several processes JAX listens itself.
    if jax.process_count() == 1 and threading.current_thread() is threading.main_thread():
      self._before = signal.signal(signal.SIGTERM, self._hear)
    return self

  def __exit__(self, *unused: object) -> None:
    if hasattr(self, "_before"):
      signal.signal(signal.SIGTERM, self._before)

  def _hear(self, number: int, frame: FrameType | None) -> None:
    del number, frame
    self._asked = True

  def reached(self, step: int) -> bool:
    """To be asked by all processes at every step."""
    if jax.process_count() > 1:
      return multihost_utils.reached_preemption_sync_point(step)
    return self._asked
