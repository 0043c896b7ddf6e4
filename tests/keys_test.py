"""No two streams of random numbers of the project meet."""

import ast
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from g_pt.keys import fold, stream

NUMBER = range(200)  # of a run, group, step or network
MICROBATCH = range(4)  # part of a split key, which is the key with its number folded in
# Every path that the package folds into the key of a seed.
PATHS = (
  ("corpus", "run", NUMBER),
  ("corpus", "group", NUMBER),
  ("corpus", "group", NUMBER, "data set"),
  ("corpus", "save_points", NUMBER),
  ("statistics", "units"),
  ("statistics", "prompt_range"),
  ("statistics", "further", range(20)),
  ("train", "init"),
  ("train", "probe"),
  ("train", "step", NUMBER, "pairs"),
  ("train", "step", NUMBER, "noise", MICROBATCH),
  ("train", "step", NUMBER, "noise", MICROBATCH, "inputs"),
  ("train", "step", NUMBER, "noise", MICROBATCH, "examples"),
  ("train", "step", NUMBER, "pairs", MICROBATCH, "metric"),
  ("train", "step", NUMBER, "pairs", MICROBATCH, "told"),
  ("export", "start", NUMBER),
  ("export", "sample"),
  ("evaluate", "alignment", "train"),
  ("evaluate", "alignment", "test"),
  ("evaluate", "one_update"),
  ("evaluate", "course"),
  ("evaluate", "recursion", "init", NUMBER),
  ("evaluate", "recursion", "update", NUMBER),
  ("evaluate", "further_steps"),
  ("evaluate", "choosing", NUMBER),
  ("evaluate", "optimizers", "choosing", NUMBER),
  ("evaluate", "landscape"),
  ("evaluate", "walk"),
  ("evaluate", "walk", "later"),
  ("evaluate", "novelty", "samples"),
  ("evaluate", "novelty", "one_start"),
  ("evaluate", "few_evaluations", "alignment"),
  ("evaluate", "few_evaluations", "one_update"),
  ("evaluate", "few_evaluations", "variety"),
  ("evaluate", "extrapolation"),
  ("evaluate", "extrapolation", "first"),
  ("evaluate", "extrapolation", "later"),
  ("evaluate", "data_sets", "source", "test"),
  ("evaluate", "data_sets", "runs", "test"),
  ("evaluate", "data_sets", "ask", "test"),
  ("evaluate", "data_sets", "one_update", "test"),
  ("evaluate", "data_sets", "one_start", "test"),
  ("evaluate", "data_sets", "gaussian", "test"),
  ("evaluate", "class_counts", "ask", "test"),
  ("evaluate", "class_counts", "one_update", "test"),
  ("evaluate", "few_examples", "tuning"),
  ("evaluate", "few_examples", "choosing"),
  ("evaluate", "fresh", NUMBER),
  ("fresh", "init"),
  ("fresh", "data set"),
  ("fresh", "sample"),
  ("fresh", "one_start"),
  ("evaluate", "tuning", NUMBER),
  ("evaluate", "optimizers", "tuning", NUMBER),
  ("evaluate", "optimizers", "fresh", NUMBER),
)
NAMES = {part for path in PATHS for part in path if isinstance(part, str)}
PACKAGE = Path(__file__).parents[1] / "g_pt"


def key_data(keys):
  """Keys of any shape -> a tuple of numbers for each."""
  return [tuple(row) for row in np.asarray(jax.random.key_data(keys)).reshape(-1, 2).tolist()]


def keys_of(key, path):
  """The keys of one path, all numbers at once."""

  def folded(keys, part):
    if isinstance(part, str):
      return jax.vmap(lambda key: fold(key, part))(keys)
    return jax.vmap(lambda key: jax.vmap(lambda number: fold(key, number))(jnp.arange(len(part))))(keys).ravel()

  return functools.reduce(folded, path, key[None])


def names_in_code():
  """String literals among the arguments of calls that make keys."""
  for file in PACKAGE.rglob("*.py"):
    for node in ast.walk(ast.parse(file.read_text())):
      if not isinstance(node, ast.Call):
        continue
      called = ast.unparse(node.func)
      if called.rpartition(".")[2] in ("stream", "fold") or called == "context.key":
        yield from (part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str))


def test_the_list_has_the_streams_of_the_code():
  found = set(names_in_code())
  assert found <= NAMES, "list the new stream's path above"
  # The code has it in a variable.
  assert NAMES - found <= {"test", "tuning", "choosing"}, "the list above names streams that are no more"


def test_no_two_streams_meet():
  """Nor do those of another seed, nor what a stream is split into."""
  found = []
  for seed in (0, 1):
    found += key_data(jax.random.key(seed))
    for path in PATHS:
      keys = keys_of(jax.random.key(seed), path)
      found += key_data(keys) + key_data(jax.vmap(lambda key: jax.random.split(key, 8))(keys))
  assert len(set(found)) == len(found) > 10_000


def test_a_key_that_is_split_has_no_name_s_stream_among_its_parts():
  """Part i of a split key is the key with i folded in: no name may stand for so small a number."""
  key = jax.random.key(0)
  assert key_data(jax.random.split(key, 8)) == key_data(keys_of(key, (range(8),)))
  parts = set(key_data(jax.random.split(key, 1 << 17)))
  assert not parts & {key_data(fold(key, name))[0] for name in NAMES}


def test_a_path_is_folded_part_by_part_in_its_order():
  key = stream(3, "corpus", "run", 5)
  assert key_data(key) == key_data(fold(fold(jax.random.key(3), "corpus"), "run", 5))
  assert key_data(jax.jit(lambda number: stream(3, "corpus", "run", number))(5)) == key_data(key)
  others = [stream(4, "corpus", "run", 5), stream(3, "run", "corpus", 5), stream(3, "corpus", "run", "5")]
  assert len({*map(str, map(key_data, others)), str(key_data(key))}) == 4


def test_streams_are_those_of_every_machine_and_version():
  """Where these numbers change, no corpus that is there can be finished: raise the format of corpora."""
  assert key_data(stream(0, "corpus", "run", 5)) == [(1101100182, 2267873211)]
