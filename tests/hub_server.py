"""A server on the loopback that speaks those parts of the Hugging Face Hub's protocol that `huggingface_hub` uses."""

import base64
import contextlib
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import re
import threading
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secret"
_REPOSITORY = r"/(?:(?P<datasets>datasets)/)?(?P<name>[^/]+/[^/]+)"
_API = r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"


def sha1(content):
  return hashlib.sha1(content).hexdigest()


class Hub:
  """Repositories, {(kind, OWNER/NAME): {revision: {path: content}}}, where a commit has its hash and branches names."""

  def __init__(self, address):
    self.address = address
    self.repositories = {}
    self.gated, self.large = set(), ()  # names of repositories; ends of the names of files that are sent by LFS
    self.objects = {}  # content by its SHA-256
    self.requests = []  # "METHOD /path"
    self.forbidden = None  # requests that match it are answered by 403

  def commit(self, name, files, kind="models", branch="main"):
    """A commit that changes files; returns its hash."""
    there = self.repositories.setdefault((kind, name), {})
    content = {**there.get(branch, {}), **files}
    commit = sha1(repr(sorted(content.items())).encode())
    there[branch] = there[commit] = content
    return commit

  def files(self, name, kind="models"):
    return self.repositories[kind, name]["main"]

  def downloads(self):
    """Names of the files that were fetched since this was last asked."""
    found = [line.rpartition("/")[2] for line in self.requests if re.match("GET .*/resolve/", line)]
    self.requests.clear()
    return sorted(found)

  def environment(self, home):
    """Of a process that finds this server, without a token, and keeps what it fetches below `home`."""
    folders = {"HF_HOME": f"{home}/hub", "XDG_CACHE_HOME": f"{home}/cache"}
    return {"HF_ENDPOINT": self.address, "HF_TOKEN": "", "HF_HUB_OFFLINE": "0", **folders}


@contextlib.contextmanager
def serving():
  """A Hub with nothing in it, while the context lasts."""
  server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
  server.hub = Hub("http://{}:{}".format(*server.server_address))
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield server.hub
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


class _Refused(Exception):
  """(status, X-Error-Code), and what is answered."""


class _Handler(BaseHTTPRequestHandler):
  protocol_version = "HTTP/1.1"

  def log_message(self, *_):
    pass

  def _answer(self):
    hub, path = self.server.hub, unquote(urlsplit(self.path).path)
    body = self._body()
    hub.requests.append(f"{self.command} {path}")
    try:
      if hub.forbidden and re.search(hub.forbidden, hub.requests[-1]):
        raise _Refused(403, "")
      for (method, pattern), action in _ACTIONS.items():
        if re.fullmatch(method, self.command) and (found := re.fullmatch(pattern, path)):
          return self._send(200, *action(self, hub, body, **found.groupdict()))
      raise _Refused(404, "EntryNotFound")
    except _Refused as refused:
      status, code, *content = refused.args
      headers = {"X-Error-Code": code} if code else {"X-Error-Message": "refused as asked"}
      self._send(status, *content or [{}], headers)

  do_GET = do_HEAD = do_POST = do_PUT = _answer

  def _body(self):
    if self.headers.get("Transfer-Encoding") != "chunked":
      return self.rfile.read(int(self.headers.get("Content-Length") or 0))
    parts = []
    while size := int(self.rfile.readline(), 16):
      parts.append(self.rfile.read(size))
      self.rfile.readline()
    self.rfile.readline()
    return b"".join(parts)

  def _send(self, status, content, headers=None):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    self.send_response(status)
    for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
      self.send_header(name, value)
    self.end_headers()
    if self.command != "HEAD":
      self.wfile.write(content)

  def allowed(self):
    if self.headers.get("Authorization") != f"Bearer {TOKEN}":
      raise _Refused(401, "")

  def found(self, hub, kind, name, revision):
    """(hash, files) of a commit."""
    if (kind, name) not in hub.repositories:
      raise _Refused(401, "RepoNotFound")  # as the hub answers whoever has no token
    there = hub.repositories[kind, name]
    if revision not in there:
      raise _Refused(404, "RevisionNotFound")
    commit = next(key for key, files in there.items() if files is there[revision] and len(key) == 40)
    return commit, there[revision]


def _information(handler, hub, body, kind, name, revision=None):
  commit, files = handler.found(hub, kind, name, revision or "main")
  return ({"id": name, "sha": commit, "siblings": [{"rfilename": path} for path in files]},)


def _tree(handler, hub, body, kind, name, revision):
  _, files = handler.found(hub, kind, name, revision)
  return ([{"type": "file", "path": path, "size": len(x), "oid": sha1(x)} for path, x in files.items()],)


def _file(handler, hub, body, datasets, name, revision, path):
  commit, files = handler.found(hub, datasets or "models", name, revision)
  if name in hub.gated:
    raise _Refused(401, "GatedRepo")
  if path not in files:
    raise _Refused(404, "EntryNotFound")
  return files[path], {"ETag": f'"{sha1(files[path])}"', "X-Repo-Commit": commit}


def _create(handler, hub, body):
  handler.allowed()
  asked = json.loads(body)
  name = f"{asked['organization']}/{asked['name']}"
  made = {"url": f"{hub.address}/{name}"}
  if ("models", name) in hub.repositories:
    raise _Refused(409, "", made)
  hub.commit(name, {".gitattributes": b""})
  return (made,)


def _valid(handler, hub, body):
  return ({"errors": [], "warnings": []},)


def _modes(handler, hub, body, kind, name, revision):
  handler.allowed()
  handler.found(hub, kind, name, revision)
  mode = {True: "lfs", False: "regular"}
  paths = [file["path"] for file in json.loads(body)["files"]]
  return ({"files": [{"path": x, "uploadMode": mode[x.endswith(hub.large)], "shouldIgnore": False} for x in paths]},)


def _batch(handler, hub, body, datasets, name):
  handler.allowed()
  asked = json.loads(body)["objects"]
  uploads = [{**x, "actions": {"upload": {"href": f"{hub.address}/objects/{x['oid']}"}}} for x in asked]
  return {"transfer": "basic", "objects": uploads}, {"Content-Type": "application/vnd.git-lfs+json"}


def _store(handler, hub, body, oid):
  assert hashlib.sha256(body).hexdigest() == oid
  hub.objects[oid] = body
  return (b"",)


def _commit(handler, hub, body, kind, name, revision):
  handler.allowed()
  handler.found(hub, kind, name, revision)
  operations = [json.loads(line) for line in body.splitlines()]
  content = {
    "file": lambda value: base64.b64decode(value["content"]),
    "lfsFile": lambda value: hub.objects[value["oid"]],
  }
  files = {x["value"]["path"]: content[x["key"]](x["value"]) for x in operations if x["key"] != "header"}
  commit = hub.commit(name, files, kind, revision)
  return ({"commitUrl": f"{hub.address}/{name}/commit/{commit}", "commitOid": commit},)


_ACTIONS = {
  ("GET", _API): _information,
  ("GET", _API + "/revision/(?P<revision>.+)"): _information,
  ("GET", _API + "/tree/(?P<revision>[^/]+)"): _tree,
  ("GET|HEAD", _REPOSITORY + "/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): _file,
  ("POST", "/api/repos/create"): _create,
  ("POST", "/api/validate-yaml"): _valid,
  ("POST", _API + "/preupload/(?P<revision>[^/]+)"): _modes,
  ("POST", _REPOSITORY + r"\.git/info/lfs/objects/batch"): _batch,
  ("PUT", "/objects/(?P<oid>.+)"): _store,
  ("POST", _API + "/commit/(?P<revision>[^/]+)"): _commit,
}
