"""One training step of G.pt: a pure function, and the settings of it."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import optax

from g_pt import sharding
from g_pt.corpus.families import Drawn, FamilySource, draw_of_sets
from g_pt.corpus.pairs import Pairs, PairsConfig, PairSource, draw_pairs, permuted
from g_pt.diffusion.objective import divergence, error_difference, loss_difference
from g_pt.family_generator import FamilyGenerator
from g_pt.fields import Settings, limited
from g_pt.generator import Generator
from g_pt.keys import fold
from g_pt.tasks import population
from g_pt.tasks.base import Task
from g_pt.train.muon import muon

OPTIMIZERS = ("adamw", "muon")
# By the metric that is prompted, the difference in it, and what that counts, in shares of what a loss's does.
_COMPARED = {"test_loss": (1.0, loss_difference), "test_error": (3.0, error_difference)}
# How much a difference in losses counts, a divergence counting 1: of one data set, and of many.
_OF_ONE_SET, _OF_MANY_SETS = 4.0, 20.0


@dataclasses.dataclass(frozen=True)
class TrainConfig(Settings):
  steps: int = limited(2000, least=1)
  batch_size: int = limited(256, least=1)  # pairs
  # Parts of a batch, one after another, so that activations stay in the cache.
  microbatches: int = limited(4, least=1)
  optimizer: str = limited("adamw", choices=OPTIMIZERS)
  learning_rate: float = limited(1e-3, above=0)
  warmup_steps: int = limited(100, least=0)
  # As a fraction of the learning rate, at the end of its cosine.
  final_learning_rate: float = limited(0.01, least=0)
  b1: float = limited(0.9, least=0, below=1)
  b2: float = limited(0.99, least=0, below=1)
  weight_decay: float = limited(0.01, least=0)  # on kernels alone, in proportion to the learning rate
  clip_norm: float = limited(1.0, above=0)  # of the gradient over all weights
  average_decay: float = limited(0.999, least=0, below=1)  # of the moving average of weights that is sampled from
  # Weight of the divergence between outputs of the target and of its estimate, on that many training inputs a batch,
  # and of their difference there in the metric that is prompted.
  behaviour: float = limited(0.0, least=0)
  behaviour_inputs: int = limited(64, least=1)
  pairs: PairsConfig = PairsConfig()
  # Of many data sets: further numbers of classes that half of the steps are about, in turn, each with a corpus of its
  # own of a quarter of the runs. None: those of the task alone.
  classes: tuple[int, ...] | None = limited(None, least=2)
  # Whether pairs are read from disk while steps run. None: where the corpus takes over a quarter of a device's memory.
  stream: bool | None = None
  log_every: int = limited(50, least=1)  # steps
  checkpoint_every: int = limited(500, least=1)
  # Steps between measurements of prompt alignment on validation runs; 0: never.
  probe_every: int = limited(500, least=0)
  history: int = limited(12, least=0)  # steps whose averaged weights stay, to look back at

  def check(self) -> None:
    if self.batch_size % self.microbatches:
      raise ValueError(f"batch_size: {self.batch_size} is not a multiple of microbatches={self.microbatches}")


class TrainState(NamedTuple):
  step: Int[Array, ""]  # updates made
  weights: PyTree
  average: PyTree  # exponential moving average of the weights
  optimizer: PyTree


def make_optimizer(config: TrainConfig) -> optax.GradientTransformation:
  """AdamW or Muon with warm-up, cosine and clipping; weight decay on kernels, not on biases."""
  rate = optax.warmup_cosine_decay_schedule(
    0.0,
    config.learning_rate,
    config.warmup_steps,
    max(config.steps, config.warmup_steps + 1),
    config.learning_rate * config.final_learning_rate,
  )
  if config.optimizer == "adamw":
    optimizer = optax.adamw(rate, config.b1, config.b2, weight_decay=config.weight_decay, mask=_kernels)
  else:
    optimizer = muon(rate, config.b1, config.b2, config.weight_decay, _kernels)
  return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)


def _kernels(weights: PyTree) -> PyTree:
  """True for the kernels of linear layers: neither biases nor positions decay."""
  return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", weights)


class Asked(NamedTuple):
  """By which metric networks are prompted, and the labels that it can be told by."""

  metrics: tuple[str, ...]
  counts: Float[Array, "metric"]  # how much the difference in each counts; 0 of those that are not asked for
  labels: Int[Array, "example"]
  # How much it counts that an estimate is better than its target: 0 where the best is asked for, 1 where the worst is.
  below: Float[Array, "net"] | float = 1.0


def behaviour_loss(
  task: Task,
  config: TrainConfig,
  inputs: Float[Array, "example ..."],
  target: Float[Array, "net parameter"],
  estimate: Float[Array, "net parameter"],
  asked: Asked,
) -> Float[Array, "net"]:
  """Weighted divergence of pairs of networks on inputs that they share, and their difference in what is asked for."""
  wanted, given = (task.network.apply(population.stack(task.spec, theta), inputs) for theta in (target, estimate))
  apart = divergence(wanted, given)
  for name, counts in zip(asked.metrics, asked.counts):
    share, difference = _COMPARED[name]
    apart = apart + counts * share * difference(asked.labels, wanted, given, asked.below)
  return config.behaviour * apart


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
  """What a training step is made from, beside arrays; called, it is the step."""

  task: Task
  generator: Generator | FamilyGenerator
  config: TrainConfig
  mesh: jax.sharding.Mesh

  @property
  def optimizer(self) -> optax.GradientTransformation:
    return make_optimizer(self.config)

  @property
  def shares_sets(self) -> bool:
    """Of many data sets: whether devices share those of a microbatch, or else the pairs of each."""
    sets = self.config.batch_size // self.config.microbatches // self.config.pairs.of_a_set
    return sets % sharding.sharers(self.mesh) == 0

  def init(self, key: Array) -> TrainState:
    weights = self.generator.init(key)
    return TrainState(jnp.int32(0), weights, jax.tree.map(jnp.copy, weights), self.optimizer.init(weights))

  def compiled(self) -> tuple[Callable[[Array], TrainState], Callable[..., tuple[TrainState, dict[str, Array]]]]:
    """`init` and the step itself as programs of the mesh, each part of the state where `sharding.RULES` say.

    The step takes the state's memory for the next one.
    """
    shapes = jax.eval_shape(self.init, jax.random.key(0))
    placed = sharding.of_weights(shapes, self.mesh)
    update = jax.jit(self.__call__, donate_argnums=2, out_shardings=(placed, sharding.replicated(self.mesh)))
    return jax.jit(self.init, out_shardings=placed), update

  def loss(self, weights: PyTree, drawn: Pairs | Drawn, key: Array, data: Any) -> Float[Array, ""]:
    """Mean over the pairs; those of many data sets, and keys, lead with the set.

    `data` is the task's, where behaviour counts.
    """
    if isinstance(drawn, Drawn):
      return jnp.mean(jax.vmap(lambda of_set, key: self._loss_of_set(weights, of_set, key, data))(drawn, key))
    return self._loss_of_set(weights, drawn, key, data)

  def _loss_of_set(self, weights: PyTree, drawn: Pairs | Drawn, key: Array, data: Any) -> Float[Array, ""]:
    pairs: Pairs
    told: tuple[Any, ...]
    pairs, told = (drawn.pairs, (drawn.told, drawn.by)) if isinstance(drawn, Drawn) else (drawn, ())
    loss, estimate = self.generator.denoising_loss(weights, pairs, key, *told)
    if self.config.behaviour:
      inputs, asked = self._inputs(drawn, pairs.target_metric, data, fold(key, "inputs"))
      loss = loss + behaviour_loss(self.task, self.config, inputs, pairs.target, estimate, asked)
    return jnp.mean(loss)

  def _inputs(
    self, drawn: Pairs | Drawn, prompt: Float[Array, "net"], data: Any, key: Array
  ) -> tuple[Float[Array, "example ..."], Asked]:
    """Of the data set, drawn anew each time, all classes as likely; and what is asked for."""
    count, draw, metrics = self.config.behaviour_inputs, self.task.training.examples, self.task.measurement.metrics
    if isinstance(drawn, Drawn):
      classes, of_each, _ = drawn.inputs.shape
      chosen = jax.random.randint(key, (count,), 0, classes * of_each)
      asked = Asked(tuple(metrics), _OF_MANY_SETS * drawn.by, chosen // of_each)
      return drawn.inputs.reshape(classes * of_each, -1)[chosen], asked
    if draw is None or isinstance(self.generator, FamilyGenerator):
      raise ValueError(f"train.behaviour: the task {self.task.name!r} has no inputs to compare networks on")
    inputs, labels = draw(data, key, count)
    # Of a metric that nobody can compare by labels, the divergence alone counts.
    names = tuple(name for name in _COMPARED if metrics.get(name) == self.generator.metric)
    return inputs, Asked(names, jnp.full(len(names), _OF_ONE_SET), labels, self.generator.place(prompt))

  def __call__(
    self, source: PairSource | FamilySource | Pairs, key: Array, state: TrainState, data: Any
  ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
    """One update on a fresh batch, drawn from `source`, or read already, [microbatch, pair, ...].

    Its randomness is folded from the key and the step, so it can be repeated.
    """
    key = fold(key, state.step)
    with sharding.traced_for(self.mesh):
      loss, gradients = self._gradients(source, key, state.weights, data)
    updates, optimizer_state = self.optimizer.update(gradients, state.optimizer, state.weights)
    weights = optax.apply_updates(state.weights, updates)
    # A young average follows faster, so that it forgets the random weights.
    decay = jnp.minimum(self.config.average_decay, (1.0 + state.step) / (10.0 + state.step))
    average = jax.tree.map(lambda a, w: decay * a + (1.0 - decay) * w, state.average, weights)
    numbers = {"loss": loss, "gradient_norm": optax.tree.norm(gradients)}
    return TrainState(state.step + 1, weights, average, optimizer_state), numbers

  def pair_key(self, key: Array, step: Int[Array, ""]) -> Array:
    """What the batch of a step is drawn with; `key` is that of all steps."""
    return fold(fold(key, step), "pairs")

  def _parts(self, source: PairSource | FamilySource | Pairs, key: Array) -> Pairs | Drawn:
    """A batch [microbatch, pair, ...] or, of many data sets, [microbatch, set, pair, ...]; `key` as in `pair_key`."""
    config = self.config

    def cut(batch: PyTree) -> PyTree:
      return jax.tree.map(lambda x: x.reshape(config.microbatches, -1, *x.shape[1:]), batch)

    if isinstance(source, FamilySource):
      sets = config.batch_size // config.pairs.of_a_set
      drawn = cut(draw_of_sets(source, config.pairs, key, sets, config.pairs.of_a_set))
      if self.shares_sets:
        return sharding.shard_batch(drawn, self.mesh, axis=1)
      return drawn._replace(pairs=sharding.shard_batch(drawn.pairs, self.mesh, axis=2))
    if isinstance(source, PairSource):
      source = cut(draw_pairs(source, config.pairs, key, config.batch_size))
    pairs = sharding.shard_batch(source, self.mesh, axis=1)
    return permuted(pairs, self.task.spec, key) if config.pairs.permute else pairs

  def _gradients(
    self, source: PairSource | FamilySource | Pairs, key: Array, weights: PyTree, data: Any
  ) -> tuple[Float[Array, ""], PyTree]:
    """Mean loss of a batch and its gradient, microbatch by microbatch; `key` is the step's own."""
    count, parts = self.config.microbatches, self._parts(source, fold(key, "pairs"))

    def accumulate(total, part):
      value = jax.value_and_grad(self.loss)(weights, *part, data)
      return jax.tree.map(jnp.add, total, value), None

    keys = jax.random.split(fold(key, "noise"), parts.by.shape[:2] if isinstance(parts, Drawn) else (count,))
    zero = (jnp.float32(0), jax.tree.map(jnp.zeros_like, weights))
    total, _ = jax.lax.scan(accumulate, zero, (parts, keys))
    return jax.tree.map(lambda x: x / count, total)
