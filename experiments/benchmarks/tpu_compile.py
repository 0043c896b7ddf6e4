"""Compiles the programs of `:paper` for TPUs that are not here, and estimates what a step takes of a chip.

  command   pip install -e .[tpu]
            JAX_PLATFORMS=cpu python -m experiments.benchmarks.tpu_compile [--topologies=v5e:4x4,v4:4x4x4,v6e:16x16] \
                [--programs=train,sample,corpus] [--tasks=mnist,cifar10,cifar10_858m,cartpole] [--mesh=fsdp=16] \
                [--out=experiments/results/tpu.json]
  time      half a minute to four minutes a program on two CPU cores; rows of the file that are not made anew stay

The compiler is the TPU's own; nothing runs. Each row is of one chip: bytes of a
program's arguments and of what it needs beside them (which must fit its memory),
FLOP of matrix products, bytes that its main memory moves and that it receives
from other chips, both with loops counted as often as they run. The roofline is
the largest of

  FLOP / peak,   memory bytes / memory bandwidth,   received bytes / interconnect bandwidth

as if each hid the others, and the share of the peak counts the FLOP that a step
needs without recomputation. Peaks and bandwidths are those that
docs.cloud.google.com/tpu/docs/v4, v5e and v6e publish; of the interconnect the
all-reduce bandwidth of a pod by its chips, which is what all links of a chip
bring in together. An exchange in one ring of chips has two of its four or six
links, whence the second share of the peak: as if all exchanges were such rings.
An estimate, not a measurement, and a time from below: no program does all three
at full speed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import importlib
from importlib import metadata
from pathlib import Path
import time
from typing import Any, NamedTuple
from unittest import mock

import jax
from jax.experimental import topologies
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import hlo, measure
from experiments.results import tpu
from g_pt import config, generator, sharding, tasks, workdir
from g_pt.corpus.pairs import PairSource, Targets
from g_pt.corpus.statistics import Statistics
from g_pt.parameters.units import UnitStatistics
from g_pt.tasks import population
from g_pt.train.step import Step


class Trained(NamedTuple):
  """A G.pt of `:paper`: its experiment, and what of the model is otherwise."""

  experiment: str
  model: Mapping[str, int] = {}
  # Axes of the mesh where those of MESHES are not the best.
  meshes: Mapping[str, str] = {}
  # Runs of a group of its corpus where those of the experiment are not the best.
  groups: Mapping[str, int] = {}


EXPERIMENTS = {
  "mnist": Trained("mnist_loss"),
  # On 64 chips its batch is nine pairs a chip, and a step little else than exchanges: more copies make them fewer.
  "cifar10": Trained("cifar10_loss", meshes={"v4:4x4x4": "fsdp=4,data=16"}),
  # The widest of the paper's sweep: 858M weights, a fourth of them in encoders of three layers, whose gradients
  # are float32. On 16 chips the compiler adds these up whole on each; on 8, each gets its part of the sum.
  "cifar10_858m": Trained(
    "cifar10_loss", {"encoder_depth": 3}, {"v5e:4x4": "fsdp=8,data=2", "v4:4x4x4": "fsdp=4,data=16"}
  ),
  # Of 64 runs the activations of a step of PPO do not all stay on the chip, of these they do.
  "cartpole": Trained("cartpole_return", groups={"v5e:4x4": 32, "v6e:16x16": 16}),
}
# Axes of the mesh by topology, the fastest by the estimate: more copies of the weights are more memory to move
# for the optimizer and gradients to exchange, fewer are smaller parts to exchange in more steps.
MESHES = {"v5e:4x4": "fsdp=16", "v4:4x4x4": "fsdp=16,data=4", "v6e:16x16": "fsdp=16,data=16"}
RUNS = 64  # of a corpus on the chip beside the model: what is resident is not what is compiled for
SAMPLED = 256  # networks that a sampler updates together


class Chip(NamedTuple):
  flops: float  # a second, bfloat16
  memory: float  # bytes
  memory_bandwidth: float  # bytes a second
  interconnect: float  # bytes a second, one direction
  ring: float  # the part of it that one ring through the chip has


CHIPS = {
  "v4": Chip(275e12, 32e9, 1200e9, 1.1e15 / 4096, 2 / 6),
  "v5e": Chip(197e12, 16e9, 819e9, 51.2e12 / 256, 2 / 4),
  "v6e": Chip(918e12, 32e9, 1638e9, 102.4e12 / 256, 2 / 4),
}


class Program(NamedTuple):
  """What is compiled, and the FLOP of its matrix products on all chips."""

  function: Any
  arguments: tuple[Any, ...]
  needed: float
  done: float  # with what is computed again for the gradient
  turns: float = 1.0  # of a loop whose end is data, on average


def shapes_on(tree: Any, placed: Any) -> Any:
  return jax.tree.map(lambda x, where: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree, placed)


def everywhere(tree: Any, mesh: Any) -> Any:
  whole = sharding.replicated(mesh)
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), tree)


def experiment_of(name: str, topology: str, data_dir: str | None = None) -> config.Experiment:
  trained = EXPERIMENTS[name]
  values = importlib.import_module(f"experiments.{trained.experiment}").get_config("paper")
  # Activations fit a chip beside the weights, so that nothing need be computed, or gathered, again.
  values.model.update(scan=True, remat=False, dtype="bfloat16", **trained.model)
  values.data_dir = data_dir
  values.corpus.group_size = trained.groups.get(topology, values.corpus.group_size)
  return config.parse(values.to_dict())


def step_of(experiment: config.Experiment, mesh: Any) -> Step:
  """The training step, its batch rounded up to what the mesh can cut."""
  task = tasks.get(experiment.task)
  std = dict.fromkeys(task.spec.names, np.array(0.3, np.float32))
  statistics = Statistics(UnitStatistics(std, std), prompt_range=None, census=None)
  metric = task.metric(experiment.metric)
  made = generator.build(task.spec, metric, experiment.model, experiment.diffusion, statistics)
  batch = -(-experiment.train.batch_size // mesh.size) * mesh.size
  return Step(task, made, dataclasses.replace(experiment.train, batch_size=batch), mesh)


def training(experiment: config.Experiment, mesh: Any) -> Program:
  step = step_of(experiment, mesh)
  size, checkpoints = step.task.spec.size, experiment.corpus.checkpoints

  def any_source() -> PairSource:
    table, bins = (RUNS, checkpoints), jnp.zeros(64, jnp.int32)
    targets = jnp.zeros(RUNS * (checkpoints - 1), jnp.int32)
    return PairSource(jnp.zeros((*table, size)), Targets(jnp.zeros(table), targets, bins, bins))

  source = jax.eval_shape(any_source)
  key = jax.eval_shape(lambda: jax.random.key(0))
  state = jax.eval_shape(step.init, key)
  placed = shapes_on(state, sharding.of_weights(state, mesh))
  arguments = everywhere(source, mesh), everywhere(key, mesh), placed, None
  batch = step.config.batch_size
  forward = hlo.products(jax.make_jaxpr(step.generator.module.apply)(state.weights, *_inputs(size, batch)).jaxpr)
  done = hlo.products(jax.make_jaxpr(step.__call__)(source, key, state, None).jaxpr)
  return Program(step.compiled()[1], arguments, 3 * forward, done)


def sampling(experiment: config.Experiment, mesh: Any) -> Program:
  """An update of many networks, each chip its share of them; every chip has all weights."""
  mesh = sharding.make_mesh(sharding.MeshConfig(data=mesh.size), list(mesh.devices.flat))
  step = step_of(experiment, mesh)
  made, size, key = step.generator, step.task.spec.size, jax.eval_shape(lambda: jax.random.key(0))
  assert isinstance(made, generator.Generator)
  weights = jax.eval_shape(made.init, key)

  def update(weights, theta, own, prompt, key, noise):
    with sharding.traced_for(mesh):
      return made.update(experiment.sample, weights, theta, own, prompt, key, noise)

  theta, scalar = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((SAMPLED, size), (SAMPLED,)))
  arguments = everywhere((weights, theta, scalar, scalar, key, theta), mesh)
  forward = hlo.products(jax.make_jaxpr(made.module.apply)(weights, *_inputs(size, SAMPLED)).jaxpr)
  flop = experiment.sample.steps * forward
  return Program(jax.jit(update), arguments, flop, flop)


def corpus(experiment: config.Experiment, mesh: Any) -> Program:
  """A group of runs on each chip, as `g_pt.corpus.generate` makes them; of images, as many as there are."""
  task, recipe, devices = tasks.get(experiment.task), experiment.recipe, list(mesh.devices.flat)
  data = task.load(experiment.data_dir)
  steps, runs = recipe.steps(data), experiment.corpus.group_size
  checkpoints = min(experiment.corpus.checkpoints, steps)
  turns = steps / checkpoints  # steps from one to the next

  def train(shared, initial, rates, key, saved):
    return population.train_and_measure(task, recipe, shared[0], initial, rates, shared[1], key, saved)

  rows = (
    jax.ShapeDtypeStruct((len(devices), runs, task.spec.size), jnp.float32),
    jax.ShapeDtypeStruct((len(devices), runs), jnp.float32),
    jax.eval_shape(lambda: jax.random.split(jax.random.key(0), len(devices))),
    jax.ShapeDtypeStruct((len(devices), checkpoints), jnp.int32),
  )
  shared = jax.eval_shape(lambda: (data, jnp.asarray(recipe.decay(data))))
  one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), rows)
  flop = len(devices) * hlo.products(jax.make_jaxpr(train)(shared, *one).jaxpr, turns)
  return Program(sharding.on_each(train, devices), (shared, *rows), flop, flop, turns)


PROGRAMS = {"train": training, "sample": sampling, "corpus": corpus}


def _inputs(size: int, batch: int) -> tuple[Any, ...]:
  vector, scalar = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((batch, size), (batch,)))
  return vector, vector, scalar, scalar, scalar


def measured(program: Program, chip: Chip, devices: int) -> dict[str, Any]:
  """What one chip holds, moves and takes; of a compiled program."""
  began = time.monotonic()
  compiled = program.function.lower(*program.arguments).compile()
  memory, moved = compiled.memory_analysis(), hlo.traffic(compiled.as_text(), devices, program.turns)
  seconds = {
    "products": program.done / devices / chip.flops,
    "memory": moved.memory / chip.memory_bandwidth,
    "interconnect": sum(moved.received.values()) / chip.interconnect,
  }
  needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes
  least = program.needed / devices / chip.flops
  return {
    "chips": devices,
    "argument_bytes": memory.argument_size_in_bytes,
    "temporary_bytes": memory.temp_size_in_bytes,
    "fits": needed <= chip.memory,
    "flop": program.done / devices,
    "memory_bytes": moved.memory,
    "received_bytes": dict(moved.received),
    "collectives": dict(moved.count),
    "seconds": seconds,
    "share_of_peak": least / max(seconds.values()),
    "share_of_peak_in_rings": least / max(*seconds.values(), seconds["interconnect"] / chip.ring),
    "compiled_in": round(time.monotonic() - began, 1),
  }


def as_on_accelerators() -> Any:
  """Within it the project traces what it runs on accelerators, though a CPU is what it is traced on."""
  return mock.patch.object(jax, "default_backend", return_value="tpu")


def devices_of(topology: str) -> list[Any]:
  # Both cores of a chip as one device; of v4 alone this must be said.
  options = {"chip_config_name": "megacore"} if topology.startswith("v4:") else {}
  return list(topologies.get_topology_desc(platform="tpu", topology_name=topology, **options).devices)


def mesh_config(text: str) -> sharding.MeshConfig:
  """fsdp=4,data=4 -> the mesh."""
  sizes = dict(part.split("=") for part in text.split(","))
  return sharding.MeshConfig(**({"data": 1} | {axis: int(size) for axis, size in sizes.items()}))


def results(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
  for topology in arguments.topologies.split(","):
    devices, chip = devices_of(topology), CHIPS[topology.partition(":")[0]]
    for task in arguments.tasks.split(","):
      trained, experiment = EXPERIMENTS[task], experiment_of(task, topology)
      axes = arguments.mesh or trained.meshes.get(topology) or MESHES.get(topology) or f"fsdp={len(devices)}"
      mesh = sharding.make_mesh(mesh_config(axes), devices)
      for name in arguments.programs.split(","):
        if name == "corpus" and trained.model:
          continue  # it is another's
        runs = experiment.corpus.group_size
        shown = {"train": axes, "sample": f"data={len(devices)}", "corpus": f"{runs} runs"}[name]
        about = {"topology": topology, "task": task, "program": name, "mesh": shown}
        with as_on_accelerators():
          yield about | measured(PROGRAMS[name](experiment, mesh), chip, len(devices))


def keep(path: Path, result: dict[str, Any]) -> None:
  """Puts a row into the file, in place of the one of the same program if it has one."""
  content = workdir.read_json(path) or {"results": []}
  rows = {tuple(row[key] for key in tpu.NAMES): row for row in content["results"]}
  rows[tuple(result[key] for key in tpu.NAMES)] = result
  compiler = f"jax {metadata.version('jax')}, libtpu {metadata.version('libtpu')}"
  workdir.write_json(path, {"compiler": compiler, "results": list(rows.values())})


def main(given: Sequence[str] | None = None) -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
  parser.add_argument("--topologies", default=",".join(MESHES))
  parser.add_argument("--tasks", default=",".join(EXPERIMENTS))
  parser.add_argument("--programs", default=",".join(PROGRAMS))
  parser.add_argument("--mesh", help="axes of the mesh, as fsdp=4,data=4; default: the best by topology")
  parser.add_argument("--out", type=Path, help="JSON file to write")
  arguments = parser.parse_args(given)
  found = []
  for result in results(arguments):
    found.append(tpu.cells(result))
    print(measure.table(tpu.HEAD, found[-1:]).splitlines()[-1], flush=True)
    if arguments.out:
      keep(arguments.out, result)
  print(measure.table(tpu.HEAD, found))


if __name__ == "__main__":
  main()
