"""Repositories of the Hugging Face Hub: their files here, and a folder's files there.

    hf://OWNER/NAME[@REVISION][/FOLDER]             of a model
    hf://datasets/OWNER/NAME[@REVISION][/FOLDER]    of a data set

What was fetched lies in the library's own cache, from which it is had without a
network. Its variables hold: HF_TOKEN, HF_HOME, HF_ENDPOINT, HF_HUB_OFFLINE.
What cannot be done is a UserError that names the URL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from pathlib import Path
from typing import NamedTuple

from g_pt.errors import UserError, first_line

# The library is imported where it is needed: it takes a third of a second.

SCHEME = "hf://"
MODEL, DATASET = "model", "dataset"
FORMS = {MODEL: "hf://OWNER/NAME[@REVISION][/FOLDER]", DATASET: "hf://datasets/OWNER/NAME[@REVISION][/FOLDER]"}

_TOKEN = "`hf auth login` or HF_TOKEN gives one"


class Repository(NamedTuple):
  name: str  # OWNER/NAME
  revision: str | None
  folder: str  # in it; empty: all of it


def parse(url: str, kind: str) -> Repository:
  """What a URL of a kind says. Raises UserError, with its form, where it is none of that kind."""
  from huggingface_hub.utils import parse_hf_uri, validate_repo_id

  try:
    found = parse_hf_uri(url)
    validate_repo_id(found.id)
  except ValueError:
    found = None
  if found is None or found.type != kind:
    raise UserError(f"{url}: a {kind} of the hub is at {FORMS[kind]}")
  return Repository(found.id, found.revision, found.path_in_repo)


def fetch(url: str, kind: str, files: Sequence[str] = ("*",), commit: str | None = None) -> Path:
  """The folder of this machine where files of a URL lie; of these only `files`, by name or pattern.

  `commit`: other than the latest one of the URL's revision.
  """
  from huggingface_hub import snapshot_download

  where = parse(url, kind)
  wanted = [f"{where.folder}/{name}" if where.folder else name for name in files]
  with _told(url):
    folder = snapshot_download(
      where.name, repo_type=kind, revision=commit or where.revision, allow_patterns=wanted, library_name="g_pt"
    )
  return Path(folder) / where.folder


def commit_of(folder: Path) -> str:
  """That of a folder which `fetch` gave: the library's cache has one for each."""
  return folder.parts[folder.parts.index("snapshots") + 1]


def push(folder: Path, url: str) -> str:
  """Commits the files of a folder to a model's repository, which is made where there is none; its address."""
  from huggingface_hub import HfApi

  where, api = parse(url, MODEL), HfApi(library_name="g_pt")
  with _told(url):
    address = api.create_repo(where.name, exist_ok=True)
    api.upload_folder(
      repo_id=where.name,
      folder_path=folder,
      path_in_repo=where.folder,
      revision=where.revision,
      commit_message="A trained G.pt",
    )
  return str(address)


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
  from huggingface_hub.errors import XetDownloadError
  from huggingface_hub.utils import httpx

  try:
    yield
  except (httpx.HTTPError, XetDownloadError, OSError, ValueError, RuntimeError) as error:
    raise UserError(f"{url}: {_words(error)}") from None


def _words(error: BaseException) -> str:
  """What the user can do about an error of the library."""
  from huggingface_hub import errors

  match error:
    case errors.GatedRepoError():
      return f"access must be asked for on its page, and needs a token; {_TOKEN}"
    case errors.RepositoryNotFoundError():
      return f"no such repository, or a private one, which needs a token; {_TOKEN}"
    case errors.RevisionNotFoundError():
      return "no such revision"
    case errors.LocalEntryNotFoundError():
      return f"the hub cannot be reached, and not all of it was fetched before ({first_line(error.__cause__ or error)})"
    case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
      return f"not without a token that allows it ({first_line(error)}); {_TOKEN}"
    case RuntimeError() if error.__cause__:  # an upload, which only says that it failed
      return f"{first_line(error)} {first_line(error.__cause__)}"
  return first_line(error)
