"""Releases at a URL: fetched to this machine, and again what has changed since.

    hf://OWNER/NAME[@REVISION]    the Hugging Face Hub; see g_pt.hub
    gs://BUCKET/PREFIX            Google Cloud Storage and Amazon S3, found and allowed as corpora there are:
    s3://BUCKET/PREFIX            see g_pt.corpus.storage
"""

from __future__ import annotations

from pathlib import Path
import re
from urllib.parse import quote

from filelock import FileLock

from g_pt import hub, release, workdir
from g_pt.compilation_cache import user_cache
from g_pt.corpus import storage
from g_pt.errors import UserError

_BUCKET = re.compile(r"(gs|s3)://[^/]+.*")
_VERSIONS = "versions.json"  # of the files beside it


def fetch(url: str) -> Path:
  """The folder of this machine that holds the release of a URL.

  Raises UserError, naming the URL, where it cannot be reached, is malformed or
  holds no release.
  """
  if url.startswith(hub.SCHEME):
    folder = hub.fetch(url, hub.MODEL, release.FILES)
  elif _BUCKET.fullmatch(url):
    place = url.rstrip("/")
    folder = user_cache() / "g_pt" / "releases" / quote(place, safe="")
    try:
      folder.mkdir(parents=True, exist_ok=True)
      with FileLock(folder / ".lock"):  # a file and its version are of one fetch
        _renew(folder, place)
    except OSError as error:
      raise UserError(f"{url}: cannot be kept in {folder}: {error.strerror}") from None
  else:
    known = f"{hub.FORMS[hub.MODEL]}, gs://BUCKET/PREFIX, s3://BUCKET/PREFIX"
    raise UserError(f"{url}: a model is in a folder or at one of {known}")
  if not release.holds_one(folder):
    raise UserError(f"{url}: no release here ({release.MODEL} is missing)")
  return folder


def _renew(folder: Path, place: str) -> None:
  """Brings a copy of what lies in a bucket up to date. Raises OSError where it cannot be written."""
  known = workdir.read_json(folder / _VERSIONS) or {}
  versions = {}
  for name in release.FILES:
    file = folder / name
    found = storage.read_version(place, name, known.get(name) if file.exists() else None)
    if found is None:
      file.unlink(missing_ok=True)
      continue
    versions[name] = found.name
    if found.content is not None:
      workdir.write_bytes(file, found.content)
  if versions != known:
    workdir.write_json(folder / _VERSIONS, versions)
