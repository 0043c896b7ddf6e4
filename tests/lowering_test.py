"""The programs of `:paper` are lowered for GPUs and TPUs, where none is at hand: nothing in them is a CPU's alone."""

import pytest

from experiments.benchmarks import tpu_compile
from g_pt import sharding
from tests.experiments_test import IMAGES


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("program", tpu_compile.PROGRAMS)
@pytest.mark.parametrize("name", ["mnist", "cifar10", "cartpole"])
def test_programs_are_lowered(name, program, platform):
  experiment = tpu_compile.experiment_of(name, "v5e:4x4", data_dir=str(IMAGES))
  if name != "cartpole" and not IMAGES.exists():
    pytest.skip(f"no images in {IMAGES}")
  mesh = sharding.make_mesh(sharding.MeshConfig(data=1))
  with tpu_compile.as_on_accelerators():
    made = tpu_compile.PROGRAMS[program](experiment, mesh)
    lowered = made.function.trace(*made.arguments).lower(lowering_platforms=(platform,))
  text = lowered.as_text()
  assert "lapack" not in text and len(text) > 10_000
