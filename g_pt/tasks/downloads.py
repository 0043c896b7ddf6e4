"""Files from the internet, checked."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import functools
import logging
from pathlib import Path
from typing import NamedTuple

from g_pt import progress
from g_pt.errors import UserError

_CHUNK = 2**20  # bytes; bars count these
_SECONDS = 30  # that a server may be silent


class Remote(NamedTuple):
  """A file of a server."""

  url: str
  size: int  # bytes
  sha256: str


class _Bar:
  """A bar with the methods that pooch calls: `update` for each chunk, which opens it, and at the end for all."""

  def __init__(self, name: str, chunks: int, stack: contextlib.ExitStack):
    self.total = 0  # pooch writes here what the server says
    self._left = chunks
    self._open = functools.cache(lambda: stack.enter_context(progress.bar(chunks, desc=name, unit="MiB")))

  def update(self, size: int) -> None:
    chunks = min(-(-size // _CHUNK), self._left)
    self._left -= chunks
    self._open().update(chunks)

  def reset(self) -> None: ...

  def close(self) -> None: ...


def fetch(files: Mapping[str, Remote], folder: Path) -> None:
  """Downloads files, by their names in `folder`; what is there already, whole, is left.

  Raises UserError, naming the address, where one cannot be had or is not what it should be.
  """
  import pooch  # here, as it takes its time, and data are fetched once

  pooch.get_logger().setLevel(logging.WARNING)
  for name, file in files.items():
    try:
      with contextlib.ExitStack() as stack:
        bar = _Bar(name, -(-file.size // _CHUNK), stack)
        get = pooch.HTTPDownloader(bar, _CHUNK, timeout=_SECONDS)
        pooch.retrieve(file.url, f"sha256:{file.sha256}", fname=name, path=folder, downloader=get)
    except (OSError, ValueError) as error:
      raise UserError(f"{file.url} cannot be fetched ({_reason(error)})") from error


def _reason(error: Exception) -> str:
  if not hasattr(error, "response"):  # none of requests: a checksum, or the disk
    return "its SHA-256 is not the one known" if isinstance(error, ValueError) else str(error)
  status = getattr(getattr(error, "response", None), "status_code", None)
  return f"the server answers {status}" if status else f"no connection, or it broke off: {type(error).__name__}"
