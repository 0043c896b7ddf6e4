"""Where a corpus may lie: a folder, a bucket, a repository; TensorStore's key-value stores serve all of them.

    runs/mnist/corpus       a folder
    gs://BUCKET/PREFIX      Google Cloud Storage, with the application default credentials
    s3://BUCKET/PREFIX      Amazon S3, or another server that speaks its protocol at AWS_ENDPOINT_URL;
                            credentials and AWS_REGION from the environment or ~/.aws
    hf://datasets/OWNER/NAME    the Hugging Face Hub, for reading only: fetched once to this machine; see g_pt.hub
    memory://NAME           this process's memory, for tests

A file in a folder and an object in a bucket are both written whole or not at all.
What cannot be done is a CorpusError that names the place.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
import os
from pathlib import Path
import re
from typing import Any, NamedTuple

import tensorstore as ts

from g_pt import hub
from g_pt.errors import CorpusError, UserError, first_line

Place = Path | str  # str: a URL

_URL = re.compile(r"(?P<driver>[a-z0-9]+)://(?P<bucket>[^/]*)/?(?P<prefix>.*)")
_DRIVERS = ("gs", "s3", "memory")
# Of a bucket the indices of shards stay in memory, so that a chunk is one request.
_CACHED = {"context": {"cache_pool": {"total_bytes_limit": 2**28}}, "recheck_cached_data": "open"}
# What does not answer is asked again for about a minute.
_RETRIES = {"max_retries": 9, "initial_delay": "500ms", "max_delay": "15s"}
_MEMORY = ts.Context({"memory_key_value_store": {}})


def place_of(path: Place) -> Place:
  """What is no URL is a folder. Raises UserError where the URL's kind is unknown, or it is malformed."""
  found = _URL.fullmatch(str(path))
  if not found:
    return Path(path)
  if read_only(path):
    hub.parse(str(path), hub.DATASET)
    return str(path).rstrip("/")
  if found["driver"] not in _DRIVERS or not found["bucket"]:
    known = ", ".join(f"{driver}://BUCKET/PREFIX" for driver in _DRIVERS[:2])
    raise CorpusError(f"{path}: a corpus is in a folder or at one of {known}, {hub.FORMS[hub.DATASET]}")
  return str(path).rstrip("/")


def array_spec(place: Place, name: str) -> dict[str, Any]:
  """What opens the zarr array of that name, beside its metadata."""
  cached = {} if isinstance(place, Path) else _CACHED
  return {"driver": "zarr3", "kvstore": _kvstore(place, name), **cached}


def context_of(place: Place) -> ts.Context | None:
  """What arrays in memory share; all else needs nothing."""
  return _MEMORY if str(place).startswith("memory://") else None


def read_bytes(place: Place, name: str) -> bytes | None:
  """The content of a file; None where there is none. Of a published corpus only this file is fetched."""
  if read_only(place):
    file = _fetched(str(place), name) / name
    return file.read_bytes() if file.exists() else None
  with _told(place, f"{name} cannot be read"):
    found = _files(place).read(name).result()
  return found.value if found.state == "value" else None


class Version(NamedTuple):
  """Of a file: what tells its versions apart, and its content."""

  name: str  # empty where the server gives none
  content: bytes | None  # None: of the version that was known before


def read_version(place: Place, name: str, known: str | None) -> Version | None:
  """A file as it is now, its content where it is not that of the `known` version; None where there is none."""
  with _told(place, f"{name} cannot be read"):
    found = _files(place).read(name, if_not_equal=bytes.fromhex(known) if known else None).result()
  if found.state == "missing":
    return None
  version = found.stamp.generation.hex() if any(found.stamp.generation) else ""
  return Version(version, found.value if found.state == "value" else None)


def write_bytes(place: Place, name: str, content: bytes) -> None:
  """Writes a file that is either whole or as it was."""
  with _told(place, f"{name} cannot be written"):
    _files(place).write(name, content).result()


def delete(place: Place, name: str) -> None:
  """Takes a file away, if it is there."""
  with _told(place, f"{name} cannot be taken away"):
    _files(place).write(name, None).result()


def names(place: Place, prefix: str) -> list[str]:
  """All files below a place whose names begin so, sorted."""
  beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
  with _told(place, "its files cannot be listed"):
    found = _files(place).list(ts.KvStore.KeyRange(prefix, beyond)).result()
  return sorted(name.decode() for name in found if name.startswith(prefix.encode()))


def read_only(place: Place) -> bool:
  """Whether it is a published corpus, of which this machine has a copy."""
  return str(place).startswith(hub.SCHEME)


def fetch_again(place: str) -> str:
  """What mends this machine's copy of a published corpus."""
  return f"`hf cache rm dataset/{hub.parse(place, hub.DATASET).name}` takes it away, to be fetched again"


_COMMITS: dict[hub.Repository, str] = {}  # of repositories that this process has read from


@functools.cache
def _fetched(place: str, name: str = "*") -> Path:
  """Where a published corpus lies on this machine, or one file of it; of one commit as long as the process lives."""
  repository = hub.parse(place, hub.DATASET)._replace(folder="")
  folder = hub.fetch(place, hub.DATASET, (name,), _COMMITS.get(repository))
  _COMMITS[repository] = hub.commit_of(folder)
  return folder


@contextlib.contextmanager
def _told(place: Place, what: str) -> Iterator[None]:
  try:
    yield
  except UserError:  # says it all
    raise
  except (ValueError, OSError, RuntimeError) as error:
    raise CorpusError(f"{place}: {what}: {first_line(error)}") from None


def _files(place: Place) -> ts.KvStore:
  return ts.KvStore.open(_kvstore(place), context=context_of(place)).result()


def _kvstore(place: Place, name: str = "") -> dict[str, Any]:
  """TensorStore's description of what lies at a place, or below it."""
  below = f"{name}/" if name else ""
  if isinstance(place, Path):
    return {"driver": "file", "path": f"{place.absolute()}/{below}"}
  if read_only(place):
    return {"driver": "file", "path": f"{_fetched(place)}/{below}"}
  found = _URL.fullmatch(place)
  assert found is not None
  prefix = f"{found['prefix']}/{below}" if found["prefix"] else below
  if found["driver"] == "memory":
    return {"driver": "memory", "path": f"{found['bucket']}/{prefix}"}
  if found["driver"] == "gs":
    in_bucket = {"driver": "gcs", "context": {"gcs_request_retries": _RETRIES}}
  else:
    given = {"endpoint": os.environ.get("AWS_ENDPOINT_URL"), "aws_region": os.environ.get("AWS_REGION")}
    chosen = {field: value for field, value in given.items() if value}
    in_bucket = {"driver": "s3", "context": {"s3_request_retries": _RETRIES}, **chosen}
  return {"bucket": found["bucket"], "path": prefix, **in_bucket}
