"""Checkpoints of training on disk; the only importer of Orbax.

A checkpoint is whole or absent: Orbax writes beside it and renames. It holds
`state` (all that training needs), `average` (the averaged weights alone, all
that sampling needs) and `progress` (a small JSON). Of a few steps along the way
the averaged weights stay, in a `History`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from g_pt import logs
from g_pt.errors import UserError


class Checkpoints:
  """The checkpoints of one training run; a context manager that waits for the last write."""

  def __init__(self, directory: str | Path, keep: int = 2, read_only: bool = False):
    self._directory = Path(directory).absolute()
    policy = checkpoint_managers.LatestN(keep)
    self._manager = _manager(self._directory, "checkpoints", read_only, preservation_policy=policy)

  def __enter__(self) -> Checkpoints:
    return self

  def __exit__(self, *unused) -> None:
    self._manager.close()

  @property
  def latest(self) -> int | None:
    """Step of the last whole checkpoint."""
    return self._manager.latest_step()

  def save(self, step: int, state: PyTree, average: PyTree, progress: dict[str, Any]) -> None:
    """Copies the arrays, then writes in the background."""
    self._manager.save(
      step,
      args=ocp.args.Composite(
        state=ocp.args.StandardSave(state), average=ocp.args.StandardSave(average), progress=ocp.args.JsonSave(progress)
      ),
    )

  def restore(self, state: PyTree) -> tuple[PyTree, dict[str, Any]]:
    """State and progress of the last checkpoint, laid out and placed like `state` (arrays or their shapes)."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, state)
    found = self._restore(state=ocp.args.StandardRestore(like), progress=ocp.args.JsonRestore())
    return found.state, found.progress

  def restore_average(self, average: PyTree) -> PyTree:
    """The averaged weights of the last checkpoint, laid out like `average`."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, average)
    return self._restore(average=ocp.args.StandardRestore(like)).average

  def progress(self) -> dict[str, Any]:
    """What `save` was told beside the arrays."""
    return self._restore(progress=ocp.args.JsonRestore()).progress

  def _restore(self, **items) -> Any:
    """UserError, naming its folder, where there is no checkpoint or the last one cannot be read."""
    latest = self.latest
    if latest is None:
      raise UserError(f"{self._directory}: no checkpoint here")
    remedy = "; without this folder training goes on from the one before"
    return _restored(self._manager, self._directory, latest, "checkpoint", ocp.args.Composite(**items), remedy)


class History:
  """Averaged weights at some steps of one training run, all of which stay; a context manager like `Checkpoints`."""

  def __init__(self, directory: str | Path, read_only: bool = False):
    self._directory = Path(directory).absolute()
    self._manager = _manager(self._directory, "history", read_only)

  def __enter__(self) -> History:
    return self

  def __exit__(self, *unused) -> None:
    self._manager.close()

  @property
  def steps(self) -> list[int]:
    """Those that are there, rising."""
    return sorted(self._manager.all_steps())

  def save(self, step: int, average: PyTree) -> None:
    """Copies the weights, then writes in the background; what is there from before a kill is left as it is."""
    self._manager.save(step, args=ocp.args.StandardSave(average))

  def restore(self, step: int, average: PyTree) -> PyTree:
    """The weights at a step, laid out like `average`; UserError, naming the folder, where they cannot be read."""
    like = jax.tree.map(ocp.utils.to_shape_dtype_struct, average)
    return _restored(self._manager, self._directory, step, "weights", ocp.args.StandardRestore(like))


def _manager(directory: Path, name: str, read_only: bool, **more: Any) -> ocp.CheckpointManager:
  """All processes of a job write a checkpoint together, and wait for each other by `name`; one that reads is alone."""
  if not read_only and jax.process_count() > 1:
    more["multiprocessing_options"] = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=name)
  if read_only and jax.process_count() > 1:
    alone = {jax.process_index()}
    more["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
      primary_host=jax.process_index(), active_processes=alone, barrier_sync_key_prefix=f"reader_{jax.process_index()}"
    )
  with logs.warnings_kept_back():
    options = ocp.CheckpointManagerOptions(read_only=read_only, create=not read_only, **more)
    return ocp.CheckpointManager(directory, options=options)


def _restored(
  manager: ocp.CheckpointManager, directory: Path, step: int, what: str, items: Any, remedy: str = ""
) -> Any:
  """`items` of a step; UserError, naming its folder and `what` is there, where they cannot be read."""
  try:
    with logs.warnings_kept_back():
      return manager.restore(step, args=items)
  except (ValueError, KeyError, OSError) as error:
    reason = " ".join(f"{error}".split())[:200]
    raise UserError(f"{directory / str(step)}: {what} not readable ({reason}){remedy}") from error
