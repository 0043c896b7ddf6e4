"""A workdir as training and evaluation leave it, with made-up numbers."""

import json

import numpy as np
import pytest

from g_pt import config, workdir

STEPS = 700  # of the optimizers' runs


@pytest.fixture
def summary():
  return {
    "task": "digits",
    "metric": "test_loss",
    "prompt_alignment": {"train": 0.95678, "test": -0.12345},
    "one_update": {
      "prompt": 0.05,
      "networks": 7,
      "start_mean": 2.3456,
      "achieved_mean": 0.4,
      "achieved_min": 0.31234,
      "achieved_max": 0.56789,
      "recorded_mean": {"test_loss": 0.4, "test_error": 12.345, "train_loss": 0.2, "train_error": 5.0},
      "steps_to_match": {"adamw": 30, "sgd": None},
      "learning_rate": {"adamw": 0.009999999776482582, "sgd": 0.30000001192092896},
      "optimizer_final_mean": {"adamw": 0.123456, "sgd": 0.87654},
    },
    "corpus": {"runs": 4321, "checkpoints": 11, "rejected": 17, "test_runs": 23, "final_mean": 0.098765},
    "model": {"parameters": 1234567},
    "seconds": {"corpus": 61.2, "train": 3723.0, "evaluate": 48.4},
  }


@pytest.fixture
def arrays():
  """Seven networks, five prompts; AdamW gets to 0.4 at step 30, SGD never."""
  rng = np.random.default_rng(0)
  made = {}
  start = rng.normal(2.3, 0.02, 7)
  for split in ("train", "test"):
    prompted = 0.05 + np.linspace(0, 1, 5) * (start[:, None] - 0.05)
    made[f"alignment.{split}.prompted"] = prompted.astype(np.float32)
    made[f"alignment.{split}.achieved"] = (prompted + rng.normal(0, 0.1, (7, 5))).astype(np.float32)
  step = np.asarray([0, 1, 3, 10, 30, 100, STEPS], np.int32)
  level = {"adamw": [2.3, 2.2, 1.9, 0.9, 0.4, 0.2, 0.12], "sgd": [2.3, 2.3, 2.2, 2.0, 1.6, 1.1, 0.9]}
  made |= {"one_update.start": start, "one_update.achieved": rng.uniform(0.3, 0.5, 7), "curves.step": step}
  made |= {f"curves.{name}": values + rng.normal(0, 0.01, (7, 1)) for name, values in level.items()}
  runs = np.geomspace(2.3, 0.1, 11) + rng.normal(0, 0.02, (13, 11))
  count, edge = np.histogram(runs, bins=17)
  return made | {
    "corpus.step": np.asarray([0, 1, 2, 3, 5, 9, 18, 40, 90, 250, STEPS], np.int32),
    "corpus.quantile": np.quantile(runs, [0.05, 0.5, 0.95], axis=0),
    "corpus.examples": runs[:5].astype(np.float32),
    "corpus.histogram_count": count,
    "corpus.histogram_edge": edge,
  }


@pytest.fixture
def training():
  lines = [{"step": step, "loss": 1 / step, "gradient_norm": 0.1, "seconds": step / 7} for step in range(10, 610, 10)]
  for line in lines[9::10]:
    line["prompt_alignment"] = 0.9 - 300 / line["step"]
  return lines


@pytest.fixture
def write_workdir(tmp_path, summary, arrays, training):
  """Writes the three as they are when it is called; returns the workdir."""

  def write():
    workdir.write_json(tmp_path / workdir.SUMMARY, summary)
    np.savez_compressed(tmp_path / workdir.ARRAYS, **arrays)
    workdir.write_bytes(tmp_path / workdir.METRICS, "".join(json.dumps(line) + "\n" for line in training).encode())
    return tmp_path

  return write


@pytest.fixture(scope="session")
def experiment():
  return config.parse(config.default("digits", "test_loss").to_dict())
