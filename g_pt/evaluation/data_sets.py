"""One G.pt on many data sets: those it learned from, mixes it has not seen, sources that are in no corpus.

Each has final images that nothing was chosen by, and networks that no training
has seen. Prompts run from where whole runs of the recipe end, in the mean, to a
network's own metric; "one update" is prompted for the task's best, as one would who
knows nothing of where runs end. Beside it stand what else can be had of the same
images, see g_pt.evaluation.rivals, and two controls: the statistics of another data
set, and the own ones with their classes permuted. Both must fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from g_pt import progress
from g_pt.bootstrap import mean_interval
from g_pt.corpus.generate import group_key
from g_pt.corpus.store import Corpus
from g_pt.errors import UserError
from g_pt.evaluation import rivals
from g_pt.evaluation.alignment import alignment_by_network
from g_pt.evaluation.base import Context, Result
from g_pt.evaluation.recitation import mean_distance, recitation
from g_pt.family_gpt import FamilyGPT
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.gpt import GPT
from g_pt.keys import stream
from g_pt.optimizers import baselines
from g_pt.tasks.base import Recipe, Task
from g_pt.tasks.known import Known, permuted

USES = ("sample", "optimizers")


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(16, least=2)  # of each data set
  prompts: int = limited(10, least=2)  # a network
  training_sets: int = limited(8, least=0)  # at most, as of the next two
  test_sets: int = limited(8, least=0)
  held_out: tuple[str, ...] = ()  # sources that are in no corpus
  compared: bool = True  # whether test sets and held-out sources are compared with rivals


class OneSet(NamedTuple):
  """A data set, networks for it, and where whole runs of these end."""

  name: str
  kind: str  # training, test, validation or held out
  model: FamilyGPT
  data: Any
  told: Known
  theta: Float[Array, "net parameter"]  # initial ones, that no training has seen
  trained: Float[Array, "net parameter"]  # the same after whole runs by the recipe
  ends: dict[str, Float[np.ndarray, "net"]]  # what they do then on final images

  def gpt(self, metric: str, told: Known | None = None) -> GPT:
    """Its G.pt; `told`: of another data set."""
    return self.model.on_set(self.data, metric, self.told if told is None else told)


def drawn_sets(
  model: FamilyGPT, corpus: Corpus, runs: Int[np.ndarray, "run"], kind: str, count: int, networks: int, seed: int
) -> list[OneSet]:
  """The data sets of the first groups that the runs belong to."""
  if not count:
    return []
  groups = corpus.original_groups(corpus.groups_of(runs)[:count]).tolist()
  drawn = jax.jit(functools.partial(model.task.data_of, model.data))
  of_each = ((group, jax.device_get(drawn(group_key(seed, group)))) for group in groups)
  return [one_set(model, f"{kind} set {group}", kind, data, networks, seed) for group, data in of_each]


class Chosen(NamedTuple):
  """Data sets to judge a model on, and by name why a source could not be had."""

  sets: list[OneSet]
  left_out: dict[str, str]


def chosen_sets(context: Context, training: int, test: int, held_out: Sequence[str], networks: int) -> Chosen:
  """So many of the corpus's data sets and of unseen mixes, at most, and sources by their names.

  A source that cannot be had here, as its fonts or files are missing, is left out with
  a line that says so: what was trained for an hour is judged by the others.
  """
  model, split, seed = context.family, context.split, context.seed
  assert model is not None
  sets = drawn_sets(model, context.corpus, split.train, "training", training, networks, seed)
  sets += drawn_sets(model, context.corpus, split.test, "test", test, networks, seed)
  left_out = {}
  for name in held_out:
    try:
      data = jax.device_get(model.whole(name, context.key("data_sets", "source", name)))
    except UserError as error:
      left_out[name] = str(error)
      print(f"{name}: left out: {error}")
      continue
    sets.append(one_set(model, name, "held out", data, networks, seed))
  return Chosen(sets, left_out)


def one_set(model: FamilyGPT, name: str, kind: str, data: Any, networks: int, seed: int) -> OneSet:
  """Trains the networks by the recipe, too."""
  gpt = model.on_set(data)
  recipe, task = gpt.recipe, gpt.task
  theta = baselines.fresh_networks(task, seed, networks)
  rates, decay = jnp.full(len(theta), recipe.learning_rate), jnp.asarray(recipe.decay(data))
  key, saved = stream(seed, "evaluate", "data_sets", "runs", name), jnp.asarray([0, recipe.steps(data)])
  trained = _training(task, recipe)(data, theta, rates, decay, key, saved)[-1]
  return OneSet(name, kind, model, data, gpt.told[0], theta, trained, jax.device_get(gpt.evaluate(trained, "final")))


@functools.lru_cache
def _training(task: Task, recipe: Recipe) -> Callable[..., Array]:
  return jax.jit(functools.partial(task.training.run, recipe))


class Achieved(NamedTuple):
  """What networks were asked for, the lowest first, and what they do on final images after one update."""

  prompted: Float[np.ndarray, "net prompt"]
  numbers: dict[str, Float[np.ndarray, "net prompt"]]


def ask(
  one: OneSet, metric: str, prompts: int, key: Array, told: Known | None = None, weights: PyTree = None
) -> Achieved:
  """One sample for each of `prompts` values of a metric, from the mean end of whole runs to a network's own."""
  gpt = one.gpt(metric, told)
  own, best = gpt.evaluate(one.theta)[metric], float(one.ends[metric].mean())
  prompted = best + jnp.linspace(0.0, 1.0, prompts)[None] * (own[:, None] - best)
  rows = jnp.repeat(one.theta, prompts, axis=0), jnp.repeat(own, prompts)
  theta = gpt.update(*rows, prompted.ravel(), key, weights=weights)
  numbers = {name: np.asarray(value).reshape(prompted.shape) for name, value in gpt.evaluate(theta, "final").items()}
  return Achieved(np.asarray(prompted), numbers)


def one_update(
  one: OneSet, metric: str, key: Array, told: Known | None = None, theta: Float[Array, "net parameter"] | None = None
) -> Float[Array, "net parameter"]:
  """A sample for each network (None: the data set's own) that is prompted for the task's best.

  What lies beyond the model's range of prompts is brought to its bound.
  """
  gpt, theta = one.gpt(metric, told), one.theta if theta is None else theta
  prompt = gpt.task.metric(metric).best_prompt
  return gpt.update(theta, gpt.evaluate(theta)[metric], jnp.full(len(theta), prompt), key)


class Measured(NamedTuple):
  """What comes of a metric's prompts."""

  asked: Achieved
  after: Float[Array, "net parameter"]  # one update
  alignment: Float[np.ndarray, "net"]


def measured(
  one: OneSet, metric: str, prompts: int, keys: tuple[Array, Array], told: Known | None = None
) -> Measured:
  """Keys are those of prompts and of one update; `told`: of another data set."""
  asked = ask(one, metric, prompts, keys[0], told)
  after = one_update(one, metric, keys[1], told)
  return Measured(asked, after, alignment_by_network(asked.prompted, asked.numbers[metric]))


def probe(sets: Sequence[OneSet], prompts: int, key: Array, weights: PyTree) -> float:
  """Mean prompt alignment of other weights, by the model's own metric, while training goes on."""
  found = [(one.model.metric_name, ask(one, one.model.metric_name, prompts, key, None, weights)) for one in sets]
  return float(np.mean([alignment_by_network(x.prompted, x.numbers[name]).mean() for name, x in found]))


def run(context: Context, settings: Settings) -> Result:
  """Each data set by itself, and means over those of each kind."""
  sets, left_out = chosen_sets(
    context, settings.training_sets, settings.test_sets, settings.held_out, settings.networks
  )
  told, arrays = [], {}
  for number, one in enumerate(progress.track(sets, desc="data sets", unit="set")):
    other = sets[number - 1].told
    row, own = _judged(context, one, other, settings)
    told.append(row)
    arrays |= {f"{number}.{name}": value for name, value in own.items()}
  counts = {"networks": settings.networks, "prompts": settings.prompts}
  return Result(counts | {"sets": told, "left_out": left_out}, arrays)


def _judged(
  context: Context, one: OneSet, other: Known, settings: Settings
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """A row of the summary, and arrays for figures; `other` is what is told of another data set."""
  metrics = list(one.model.statistics.prompt_ranges)
  row: dict[str, Any] = {"name": one.name, "kind": one.kind, "metrics": {}}
  arrays = {}
  controls = {"another data set": other, "permuted classes": permuted(one.told, _next_class(one.told))}
  for metric in metrics:
    ask_key, update_key = context.key("data_sets", "ask", one.name), context.key("data_sets", "one_update", one.name)
    found, after, of_each = measured(one, metric, settings.prompts, (ask_key, update_key))
    best = {part: jax.device_get(one.gpt(metric).evaluate(after, part)) for part in ("recorded", "final")}
    arrays |= {f"{metric}.prompted": found.prompted, f"{metric}.achieved": found.numbers[metric]}
    arrays |= {f"{metric}.one_update.{part}": values[metric] for part, values in best.items()}
    row["metrics"][metric] = {
      "start": float(one.gpt(metric).evaluate(one.theta, "final")[metric].mean()),
      "end": float(one.ends[metric].mean()),
      "alignment": float(of_each.mean()),
      "interval": mean_interval(of_each),
      "one_update": {name: float(best["final"][name].mean()) for name in metrics},
      "recitation": _recitation(one, metric, after, context.key("data_sets", "one_start", one.name)),
    }
    if one.kind != "training":
      row["metrics"][metric]["controls"] = {
        name: _control(one, metric, settings.prompts, (ask_key, update_key), known) for name, known in controls.items()
      }
  if one.kind != "training" and settings.compared:
    row["rivals"] = _rivals(context, one, arrays)
  return row, arrays


def _recitation(one: OneSet, metric: str, after: Float[Array, "net parameter"], key: Array) -> dict[str, float]:
  spec, first = one.model.task.spec, jnp.repeat(one.theta[:1], len(one.theta), axis=0)
  of_one = one_update(one, metric, key, theta=first)
  start, sample, end, of_one = map(np.asarray, (one.theta, after, one.trained, of_one))
  found = recitation(spec, start, sample, end, of_one)
  return found | {"ends": mean_distance(spec, np.asarray(one.trained))}


def _rivals(context: Context, one: OneSet, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
  """By name what each gets, by the metric that its settings are chosen by where it has some for each."""
  gpt, seed = one.gpt(one.model.metric_name), context.seed
  how = dataclasses.replace(context.optimizers, networks=len(one.theta))
  networks = baselines.initial_networks(gpt.task, seed, how)
  train = functools.partial(rivals.descent, gpt.task, gpt.recipe, networks=networks, settings=how, seed=seed)
  per_class = len(one.data.train.labels) // one.model.classes
  gaussian = rivals.gaussian_images(one.data, per_class, context.key("data_sets", "gaussian", one.name))
  found, of_gaussian = train(data=one.data), train(data=gaussian)
  achieved = {
    name: {part: arrays[f"{name}.one_update.{part}"] for part in ("recorded", "final")}
    for name in gpt.task.measurement.metrics
  }
  return {
    "nesterov": found.best,
    "steps to match": {name: rivals.steps_to_match(gpt.task, found, name, x) for name, x in achieved.items()},
    "nesterov on Gaussian images": of_gaussian.best,
    **rivals.closed_forms(one.data),
  }


def _next_class(told: Known) -> Int[np.ndarray, "class"]:
  return np.roll(np.arange(len(told.share)), 1)


def _control(one: OneSet, metric: str, prompts: int, keys: tuple[Array, Array], told: Known) -> dict[str, float]:
  """What comes of the prompts where something else is told."""
  _, after, of_each = measured(one, metric, prompts, keys, told)
  best = one.gpt(metric).evaluate(after, "final")
  return {"alignment": float(of_each.mean()), "one_update": float(best[metric].mean())}
