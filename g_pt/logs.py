"""What libraries log beside what they do."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from absl import logging


@contextlib.contextmanager
def warnings_kept_back() -> Iterator[None]:
  """Inside, libraries that log by absl tell of errors alone: nobody can act on their warnings."""
  before = logging.get_verbosity()
  logging.set_verbosity(min(before, logging.ERROR))
  try:
    yield
  finally:
    logging.set_verbosity(before)
