"""Imports point one way, and each library with a heavy hand has one importer."""

import ast
import functools
import graphlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "g_pt"

# From the ground up: a module imports from lower lines and from its own package, never from a neighbour in its line.
LAYERS = (
  ("bootstrap", "chunks", "compilation_cache", "errors", "host_memory", "keys", "logs", "progress", "words"),
  ("fields", "command", "hub"),
  ("parameters", "workdir", "sharding", "checkpointing"),
  ("processes", "release"),
  ("tasks",),
  ("corpus",),
  ("models", "diffusion", "optimizers", "remote"),
  ("generator",),
  ("family_generator",),
  ("train", "description"),
  ("gpt",),
  ("family_gpt",),
  ("trained",),
  ("evaluation",),
  ("report",),
  ("plugins",),
  ("config", "provenance"),
  ("interop",),
  ("job", "card"),
  ("one_set",),
  ("many_sets",),
  ("stages", "publish", "fetch"),
  ("",),  # g_pt itself: what a user finds at once
)

ONLY_IMPORTERS = {
  "orbax": ("checkpointing.py",),
  "tensorstore": ("corpus/storage.py", "corpus/store.py"),
  "grain": ("train/feed.py",),
  "joblib": ("corpus/generate.py",),
  "tqdm": ("progress.py",),
  "tensorboardX": ("train/log.py",),
  "sklearn": ("evaluation/rivals.py", "tasks/datasets.py"),
  "tensorflow_datasets": ("tasks/datasets.py",),
  "tensorflow": (),
  "pooch": ("tasks/downloads.py",),
  "gymnax": ("tasks/cartpole.py",),
  "plotly": ("report/",),
  "PIL": ("report/film.py", "tasks/letters.py"),
  "imageio_ffmpeg": ("report/film.py",),
  "matplotlib": (),
  "ml_collections": ("config.py",),
  "torch": ("interop/",),
  "lmdb": ("interop/",),
  "huggingface_hub": ("hub.py",),
  "filelock": ("remote.py",),
  "pyarrow": ("corpus/table.py",),
  "safetensors": ("interop/", "release.py"),
}
MESH_NAMES = {"AxisType", "Mesh", "NamedSharding", "PartitionSpec", "make_mesh", "shard_map"}


@functools.cache
def modules():
  """(path below g_pt, syntax tree) of every module."""
  return [(str(file.relative_to(PACKAGE)), ast.parse(file.read_text())) for file in sorted(PACKAGE.rglob("*.py"))]


def imported(path, tree):
  """Dotted names that a module imports, wherever in it."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
      # `from g_pt import x` and `from g_pt.x import y`: the module, or what is in it.
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_name(path):
  """corpus/store.py -> corpus.store, corpus/__init__.py -> corpus, __init__.py -> ''."""
  return path.removesuffix(".py").replace("/", ".").removesuffix("__init__").removesuffix(".")


@functools.cache
def dependencies():
  """{module: the modules of g_pt that it imports}, names below g_pt."""
  names = {module_name(path) for path, _ in modules()}
  graph = {}
  for path, tree in modules():
    found = set()
    for name in imported(path, tree):
      if name.split(".")[0] == "g_pt":
        below = name.removeprefix("g_pt").removeprefix(".")
        found.add(below if below in names else below.rpartition(".")[0])
    graph[module_name(path)] = found - {module_name(path)}
  return graph


def layer(module):
  """(height, line entry) of a module: the longest entry that it lies in."""
  entries = [(entry, height) for height, line in enumerate(LAYERS) for entry in line]
  matches = [(entry, height) for entry, height in entries if f"{module}.".startswith(f"{entry}.")]
  assert matches, f"g_pt.{module} has no place in LAYERS yet"
  entry, height = max(matches, key=lambda match: len(match[0]))
  return height, entry


def test_layers_point_one_way():
  wrong = []
  for module, targets in dependencies().items():
    height, package = layer(module)
    for target in targets:
      below, other = layer(target)
      if not (below < height or other == package):
        wrong.append(f"g_pt.{module} imports g_pt.{target}")
  assert not wrong


def test_no_import_goes_round():
  list(graphlib.TopologicalSorter(dependencies()).static_order())


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_only_importer(library):
  importers = {path for path, tree in modules() for name in imported(path, tree) if name.split(".")[0] == library}
  allowed = ONLY_IMPORTERS[library]
  assert {path for path in importers if not path.startswith(allowed or "nowhere")} == set()


def test_mesh_axes_are_named_in_one_file():
  named = set()
  for path, tree in modules():
    for node in ast.walk(tree):
      if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & MESH_NAMES:
        named.add(path)
      # An annotation `jax.sharding.Mesh` names no axis.
      if isinstance(node, ast.Attribute) and node.attr in MESH_NAMES - {"Mesh"} and not is_ours(node):
        named.add(path)
  assert named == {"sharding.py"}


def is_ours(node):
  """Whether `node` is an attribute of g_pt.sharding, which wraps what it names."""
  return isinstance(node.value, ast.Name) and node.value.id == "sharding" and node.attr == "make_mesh"


def test_main_has_no_logic():
  tree = ast.parse((PACKAGE.parent / "main.py").read_text())
  libraries = {name.split(".")[0] for name in imported("main.py", tree)}
  assert libraries <= {"absl", "g_pt", "ml_collections", "pathlib", "shlex", "sys", "traceback"}


def test_no_module_is_long():
  lengths = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in PACKAGE.rglob("*.py")}
  assert {name: length for name, length in lengths.items() if length > 300} == {}
