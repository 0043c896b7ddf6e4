"""Releases by URL, from servers on the loopback: fetched once, again where they changed, refused in one line."""

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import subprocess
import sys
import threading
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

import g_pt
from g_pt import release, remote, trained
from g_pt.corpus import storage
from g_pt.errors import UserError
from tests.end_to_end_test import PATIENCE

PRETRAINED = "mnist_loss"
SMALL = {release.MODEL: b"weights", release.CONFIG: b"{}", release.CARD: b"a card"}
NOWHERE = "http://127.0.0.1:9"

FETCH = """
import sys
from g_pt import errors, remote
for url in sys.argv[1:]:
  try:
    print(remote.fetch(url))
  except errors.UserError as error:
    print(f"refused: {error}")
"""

LOAD = """
import hashlib, sys
import g_pt, numpy as np
from g_pt import trained
weights = trained.flat(g_pt.load(sys.argv[1]).weights)
print(hashlib.sha256(b"".join(np.asarray(weights[name]).tobytes() for name in sorted(weights))).hexdigest())
"""


def contents(folder):
  """Of the files in a folder, by their names."""
  return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def digest(gpt):
  weights = trained.flat(gpt.weights)
  return hashlib.sha256(b"".join(np.asarray(weights[name]).tobytes() for name in sorted(weights))).hexdigest()


def test_a_release_of_the_hub_is_loaded_without_the_files_that_are_none_of_it(hub, beside_hub):
  hub.commit("someone/mnist", contents(trained._PRETRAINED / PRETRAINED) | {"report.html": b"a report"})
  assert beside_hub(LOAD, "hf://someone/mnist") == [digest(g_pt.load(PRETRAINED))]
  assert hub.downloads() == sorted(release.FILES)


def test_what_was_fetched_is_there_without_a_network(hub, beside_hub):
  hub.commit("someone/small", SMALL)
  (folder,) = beside_hub(FETCH, "hf://someone/small")
  assert contents(folder) == SMALL and hub.downloads() == sorted(release.FILES)
  assert beside_hub(FETCH, "hf://someone/small", HF_HUB_OFFLINE="1") == [folder]
  assert beside_hub(FETCH, "hf://someone/small", HF_ENDPOINT=NOWHERE) == [folder]
  assert not hub.requests
  for unreachable in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": NOWHERE}):
    (line,) = beside_hub(FETCH, "hf://someone/other", **unreachable)
    assert line.startswith("refused: hf://someone/other: the hub cannot be reached, and not all of it was fetched ")


def test_what_changed_is_fetched_and_a_revision_stays(hub, beside_hub):
  first = hub.commit("someone/small", SMALL)
  beside_hub(FETCH, "hf://someone/small")
  hub.downloads()
  hub.commit("someone/small", {release.MODEL: b"better weights"})
  latest, before = beside_hub(FETCH, "hf://someone/small", f"hf://someone/small@{first}")
  assert contents(latest) == SMALL | {release.MODEL: b"better weights"} and contents(before) == SMALL
  assert hub.downloads().count(release.MODEL) == 1
  hub.commit("someone/many", {f"small/{name}": content for name, content in SMALL.items()})
  (folder,) = beside_hub(FETCH, "hf://someone/many/small")
  assert contents(folder) == SMALL


def test_what_cannot_be_fetched_from_the_hub_is_one_line(hub, beside_hub):
  hub.commit("someone/small", SMALL)
  hub.commit("someone/data", {release.CARD: b"a card", "data.csv": b""})
  hub.commit("someone/gated", SMALL)
  hub.gated.add("someone/gated")
  token = "token; `hf auth login` or HF_TOKEN gives one"
  form = "a model of the hub is at hf://OWNER/NAME[@REVISION][/FOLDER]"
  wanted = {
    "hf://someone/unknown": f"no such repository, or a private one, which needs a {token}",
    "hf://someone/small@v2": "no such revision",
    "hf://someone/gated": f"access must be asked for on its page, and needs a {token}",
    "hf://someone/data": f"no release here ({release.MODEL} is missing)",
    "hf://someone": form,
    "hf://someone/two words": form,
    "hf://datasets/someone/small": form,
  }
  assert beside_hub(FETCH, *wanted) == [f"refused: {url}: {words}" for url, words in wanted.items()]
  assert hub.downloads() == [release.CARD]


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "gs:///x", "https://huggingface.co/x/y"])
def test_a_url_of_no_known_kind_names_those_that_are(url):
  with pytest.raises(UserError, match=f"^{url}: a model is in a folder or at one of hf://OWNER.*, gs://.*, s3://"):
    g_pt.load(url)


def test_a_model_of_another_library_is_one_line(tmp_path):
  for name, content in contents(trained._PRETRAINED / PRETRAINED).items():
    (tmp_path / name).write_bytes(content)
  for other in ('{"model_type": "gpt2"}', "[]"):
    (tmp_path / release.CONFIG).write_text(other)
    with pytest.raises(UserError, match=f"{release.CONFIG}: not that of a G.pt$"):
      g_pt.load(tmp_path)


@pytest.fixture(params=["s3", "gs"])
def url(request, monkeypatch, tmp_path):
  """Where in a bucket nothing is yet; with a cache of its own."""
  request.getfixturevalue({"s3": "bucket", "gs": "google_bucket"}[request.param])
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return f"{request.param}://corpora/releases/{request.node.originalname}"


def upload(url, files):
  for name, content in files.items():
    storage.write_bytes(url, name, content)


def test_a_release_in_a_bucket_is_loaded(url):
  upload(url, contents(trained._PRETRAINED / PRETRAINED))
  assert digest(g_pt.load(url)) == digest(g_pt.load(PRETRAINED))


def inodes(folder):
  """Of its files: a file that was written again has another one."""
  return {name: (folder / name).stat().st_ino for name in SMALL}


def test_of_a_bucket_what_changed_is_fetched(url, tmp_path):
  upload(url, SMALL)
  folder = remote.fetch(url)
  assert folder.is_relative_to(tmp_path / "cache") and contents(folder).items() >= SMALL.items()
  before = inodes(folder)
  changed = {release.MODEL: b"WEIGHTS"}  # of the same length
  upload(url, changed)
  assert remote.fetch(f"{url}/") == folder and contents(folder).items() >= (SMALL | changed).items()
  if url.startswith("s3://"):  # the server that stands for Google does not tell versions apart
    assert {name for name in SMALL if inodes(folder)[name] != before[name]} == {release.MODEL}
  (folder / release.CONFIG).unlink()
  assert contents(remote.fetch(url)).items() >= (SMALL | changed).items()
  storage.delete(url, release.MODEL)
  with pytest.raises(UserError, match=rf"^{url}: no release here \({release.MODEL} is missing\)$"):
    remote.fetch(url)


class Versions(BaseHTTPRequestHandler):
  """Objects as Google Cloud Storage sends them: with their generation, or 304 where that is known."""

  def log_message(self, *_):
    pass

  def do_GET(self):
    url = urlsplit(self.path)
    content, generation = self.server.objects[unquote(url.path).rpartition("/")[2]]
    known = parse_qs(url.query).get("ifGenerationNotMatch") == [str(generation)]
    self.send_response(304 if known else 200)
    self.send_header("x-goog-generation", str(generation))
    self.send_header("Content-Length", "0" if known else str(len(content)))
    self.end_headers()
    self.wfile.write(b"" if known else content)


def test_google_cloud_storage_is_asked_for_other_versions_alone(monkeypatch, tmp_path):
  with ThreadingHTTPServer(("127.0.0.1", 0), Versions) as server:
    server.objects = {name: (content, 2**50 + 1) for name, content in SMALL.items()}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", "http://{}:{}".format(*server.server_address))
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "token")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = remote.fetch("gs://bucket/small")
    before = inodes(folder)
    server.objects[release.MODEL] = (b"WEIGHTS", 2**50 + 2)
    assert remote.fetch("gs://bucket/small") == folder
    server.shutdown()
  assert contents(folder).items() >= (SMALL | {release.MODEL: b"WEIGHTS"}).items()
  assert {name for name in SMALL if inodes(folder)[name] != before[name]} == {release.MODEL}


def test_a_cache_that_cannot_be_written_is_one_line(url, monkeypatch, tmp_path):
  upload(url, SMALL)
  (tmp_path / "file").touch()
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
  with pytest.raises(UserError, match=f"^{url}: cannot be kept in {tmp_path}/file/.*: Not a directory$"):
    remote.fetch(url)


def test_the_hub_is_imported_when_it_is_needed():
  program = "import sys, g_pt.trained, g_pt.publish; assert 'huggingface_hub' not in sys.modules"
  subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE)
