"""A workdir as training and evaluations leave it, with made-up numbers."""

import json

import numpy as np
import pytest

from g_pt import tasks, workdir
from g_pt.report.base import View
from g_pt.report.results import Evaluated
from g_pt.report.sections import alignment, corpus, course, landscape, model, one_update, walk

STEPS = 700  # of the optimizers' runs


@pytest.fixture(scope="session")
def values():
  """Of a resolved configuration, as much as the page looks at, and a field that it only shows."""
  return {"task": "digits", "metric": "test_loss", "seed": 3, "train": {"average_decay": 0.9999}}


@pytest.fixture(scope="session")
def loss():
  return tasks.get("digits").metric("test_loss")


@pytest.fixture(scope="session")
def view(values):
  return View.of(values)


@pytest.fixture
def sections():
  """A section for each evaluation, in the order of the page."""
  return {"alignment": alignment, "one_update": one_update, "corpus": corpus, "model": model}


def _scores(mean, low, high, median):
  return {"mean": mean, "interval": [low, high], "median": median, "too_narrow": 0, "mean_of_others": mean}


def _numbers(start, mean, lowest, highest):
  return {"start": start, "mean": mean, "lowest": lowest, "highest": highest}


def _chosen(steps, interval, learning_rate, decay, best_mean):
  chosen = {"steps": steps, "interval": interval, "learning_rate": learning_rate, "decay": decay}
  return chosen | {"best_mean": best_mean, "first_step": 2.2 + best_mean / 100}


def _updated(start, *after):
  return {"recorded": {"start": start, "after": list(after)}, "final": {"start": start + 0.1, "after": list(after)}}


def _further(learning_rate, decay, start, steps, area, best):
  recorded = {"start": start, "steps": steps, "area": area, "best": best}
  final = {name: value if value is None else value + 0.01 for name, value in recorded.items()}
  return {"learning_rate": learning_rate, "decay": decay, "recorded": recorded, "final": final}


def _kind(recorded, final, distance, disagreement, similarity):
  fields = {"recorded": recorded, "final": final, "distance": distance, "disagreement": disagreement}
  return fields | {"similarity": similarity}


def _row(temperature, evaluations, alignment, update, apart, share):
  measured = {name: {"recorded": value, "final": 1.1 * value} for name, value in (
    ("alignment", alignment), ("one_update", update)
  )}  # fmt: skip
  return {"temperature": temperature, "evaluations": evaluations, "apart": apart, "novel_performant": share} | measured


@pytest.fixture
def summaries():
  """By evaluation. AdamW gets to one update's level at step 30.4, SGD in some of the bootstrap's samples only."""
  return {
    "alignment": {
      "networks": 7,
      "prompts": 5,
      "train": {"recorded": _scores(0.95678, 0.93, 0.97, 0.98)},
      "test": {"recorded": _scores(-0.12345, -0.5, 0.25, 0.12), "final": _scores(-0.2, -0.6, 0.2, 0.1)},
    },
    "one_update": {
      "prompt": 0.05,
      "networks": 7,
      "numbers": {
        "recorded": {
          "test_loss": _numbers(2.3456, 0.4, 0.31234, 0.56789),
          "test_error": _numbers(90.0, 12.345, 9.0, 15.0),
          "train_error": _numbers(90.0, 5.0, 4.0, 6.0),
        },
        "final": {
          "test_loss": _numbers(2.3333, 0.45, 0.33, 0.6),
          "test_error": _numbers(90.0, 13.579, 9.0, 15.0),
        },
      },
      "optimizers": {
        "recorded": {
          "adamw": _chosen(30.4, [25.8, 34.6], 0.009999999776482582, 0.25, 0.123456),
          "sgd": _chosen(None, [480.2, None], 0.30000001192092896, None, 0.87654),
        },
        "final": {
          "adamw": _chosen(28.7, [24.0, None], 0.009999999776482582, 0.25, 0.135),
          "sgd": _chosen(None, [None, None], 0.30000001192092896, None, 0.9),
        },
      },
      "optimizer_steps": STEPS,
    },
    # From Kaiming fan-out networks are not finite after one update, and come back.
    "recursion": {
      "prompt": 0.05,
      "networks": 7,
      "updates": [1, 3, 10],
      "inits": {
        "kaiming_fan_out": _updated(5.432, None, 0.321, 0.123),
        "own": _updated(2.3456, 0.0912, 0.0876, 0.0854),
        "xavier_normal": _updated(2.5, 0.4321, 0.2222, 0.1111),
      },
    },
    "further_steps": {
      "optimizer": "nesterov",
      "level": 0.1031,
      "networks": 7,
      "optimizer_steps": STEPS,
      "starts": {
        "initial": _further(0.3, None, 2.3456, 456.7, 1.2345, 0.0876),
        "retrieval": _further(0.03, 1.0, 0.0512, 0.0, 0.0501, 0.0495),
        "soup": _further(0.1, 0.25, 0.4567, None, 0.2345, 0.1234),
        "update": _further(0.1, 1.0, 0.0912, 3.4, 0.0876, 0.0765),
      },
    },
    "novelty": {
      "prompt": 0.05,
      "networks": 7,
      "references": 4000,
      "median_distance": 4.5678,
      "ratio": 1.0521,
      "sets": {
        "interpolation": _kind(0.35, 0.36, 2.5, 0.08, 0.5),
        "noise 0.05": _kind(0.13, 0.12, 0.6, 0.01, 0.9),
        "retrieval": _kind(0.05, 0.09, 0.0, 0.0, 1.0),
        "samples": _kind(0.0912, 0.0834, 4.8057, 0.0412, 0.45678),
        "soup": _kind(0.4, 0.41, 3.1, 0.09, 0.4),
        "training": _kind(0.1031, 0.0912, 4.5678, 0.0378, 0.4712),
        "unseen": _kind(0.1045, 0.0923, 4.6, 0.0389, 0.4698),
      },
      "novel_performant": [
        {
          "worse": worse,
          "level": 0.1 * (1 + worse),
          "farther": 1,
          "shares": {
            "interpolation": 0.0, "noise 0.05": 0.0, "retrieval": 0.0, "samples": samples, "soup": soup,
            "training": 0.5, "unseen": 0.53,
          },
        }
        for worse, samples, soup in ((0.0, 0.375, 0.0), (0.25, 0.625, 0.125))
      ],
      "recitation": {"different_starts": 4.9, "one_start": 2.1, "ends": 5.2, "cosine": 0.3456},
      "ensembles": {
        "samples": {name: {"single": 0.0912, "ensemble": 0.0701} for name in ("recorded", "final")},
        "training": {name: {"single": 0.1031, "ensemble": 0.0687} for name in ("recorded", "final")},
      },
    },
    "few_evaluations": {
      "chosen": {"temperature": 0.5, "evaluations": 4},
      "networks": 7,
      "prompt": 0.05,
      "ends_apart": 5.0,
      "rows": [
        _row(0.5, 1, -9.5, 0.9, 0.5, 0.0),
        _row(0.5, 4, 0.8, 0.1, 1.0, 0.125),
        _row(1.0, 1, -0.5, 1.9, 2.0, 0.0),
        _row(1.0, 4, 0.7, 0.2, 4.0, 0.25),
      ],
    },
    "extrapolation": {
      "networks": 7,
      "edge": 0.2,
      "best_prompt": 0.05,
      "run_ends": 0.3,
      "recorded": {
        "at_edge": 0.25, "best": 0.2345, "best_prompt": 0.1, "slope_within": 0.9876, "slope_beyond": 0.0123
      },
      "final": {"at_edge": 0.26, "best": 0.24, "best_prompt": 0.05, "slope_within": 0.95, "slope_beyond": None},
    },
    "corpus": {
      "runs": 4321, "train_runs": 4260, "validation_runs": 21, "test_runs": 23, "rejected": 17,
      "checkpoints": 11, "final_mean": 0.098765, "seconds": 61.2,
    },
    "model": {"parameters": 1234567, "seconds": 3723.0},
  }  # fmt: skip


@pytest.fixture
def arrays():
  """By evaluation. Seven networks, five prompts; curves to which the summaries' steps fit about."""
  rng = np.random.default_rng(0)
  start = rng.normal(2.3, 0.02, 7)
  prompted = (0.05 + np.linspace(0, 1, 5) * (start[:, None] - 0.05)).astype(np.float32)
  aligned = {f"{runs}.prompted": prompted for runs in ("train", "test")}
  for runs, part in (("train", "recorded"), ("test", "recorded"), ("test", "final")):
    aligned[f"{runs}.achieved.{part}"] = (prompted + rng.normal(0, 0.1, (7, 5))).astype(np.float32)
  step = np.asarray([0, 1, 3, 10, 30, 100, STEPS], np.int32)
  level = {"adamw": [2.3, 2.2, 1.9, 0.9, 0.4, 0.2, 0.12], "sgd": [2.3, 2.3, 2.2, 2.0, 1.6, 1.1, 0.9]}
  one_update = {f"curve.{name}.step": step for name in level}
  for part in ("recorded", "final"):
    one_update |= {f"start.{part}": start, f"achieved.{part}": rng.uniform(0.3, 0.5, 7)}
    one_update |= {f"curve.{name}.{part}": mean + rng.normal(0, 0.01, (7, 1)) for name, mean in level.items()}
  inits = {"own": 2.3, "xavier_normal": 2.5, "kaiming_fan_out": 5.4}
  recursion = {
    f"{init}.{part}": np.geomspace(begun, 0.09, 11) * rng.uniform(0.9, 1.1, (7, 1))
    for init, begun in inits.items()
    for part in ("recorded", "final")
  }
  recursion["kaiming_fan_out.recorded"][2, 1] = np.nan
  further = {}
  for start, begun in {"initial": 2.3, "update": 0.09, "retrieval": 0.05, "soup": 0.45}.items():
    further[f"{start}.step"] = np.minimum(step, 175) if start == "soup" else step
    for part in ("recorded", "final"):
      further[f"{start}.{part}"] = np.geomspace(begun, min(begun, 0.1), 7) * rng.uniform(0.95, 1.05, (7, 1))
  novelty = {}
  for kind in ("training", "unseen", "samples", "noise 0.05", "interpolation", "soup", "retrieval"):
    for field in ("recorded", "final", "distance", "disagreement", "similarity"):
      novelty[f"{kind}.{field}"] = rng.uniform(0.1, 0.9, 7)
  asked = np.asarray([1.2, 0.7, 0.2, 0.125, 0.05])
  extrapolation = {"prompt": asked}
  for part in ("recorded", "final"):
    extrapolation[f"achieved.{part}"] = np.maximum(asked, 0.25) + rng.normal(0, 0.01, (7, 5))
  runs = np.geomspace(2.3, 0.1, 11) + rng.normal(0, 0.02, (13, 11))
  count, edge = np.histogram(runs, bins=17)
  corpus = {
    "step": np.asarray([0, 1, 2, 3, 5, 9, 18, 40, 90, 250, STEPS], np.int32),
    "quantile": np.quantile(runs, [0.05, 0.5, 0.95], axis=0),
    "examples": runs[:5].astype(np.float32),
    "histogram_count": count,
    "histogram_edge": edge,
  }
  audited = {"recursion": recursion, "further_steps": further, "novelty": novelty, "extrapolation": extrapolation}
  return {"alignment": aligned, "one_update": one_update, **audited, "few_evaluations": {}, "corpus": corpus}


@pytest.fixture
def pictured(summaries, arrays, sections):
  """Adds the experiments that are looked at more than read: the course of training, the landscape, the walk."""
  sections |= {"course": course, "landscape": landscape, "walk": walk}
  rng = np.random.default_rng(1)
  prompted = arrays["alignment"]["test.prompted"][:3]
  share = np.asarray([0.0, 0.1, 0.6, 1.0])[:, None, None]  # of the way from doing nothing to obeying
  achieved = prompted[:, -1:] + share * (prompted - prompted[:, -1:]) + rng.normal(0, 0.02, (4, 3, 5))
  arrays["course"] = {"step": np.asarray([1, 10, 100, 1600]), "prompted": prompted}
  arrays["course"] |= {"achieved.recorded": achieved, "achieved.final": achieved + 0.03}
  summaries["course"] = {"networks": 3, "prompts": 5, "steps": [1, 10, 100, 1600]}
  summaries["course"] |= {"recorded": [-1.987, -1.4, 0.47, 0.9321], "final": [-2.1, -1.5, 0.4, 0.9012]}
  # Two basins, in which samples lie; the start between and above them.
  x, y = np.linspace(-3, 3, 21), np.linspace(-2, 2, 19)
  basins = np.minimum(np.hypot(x - 1.5, y[:, None]), np.hypot(x + 1.5, y[:, None]))
  at = np.asarray([[1.5, 0], [-1.5, 0]])[np.arange(6) % 2] + rng.normal(0, 0.2, (6, 2))
  between = np.where(np.arange(4)[:, None] % 2 == np.arange(4) % 2, 0.01, 1.3) * (1 - np.eye(4))
  arrays["landscape"] = {
    "x": x, "y": y, "landscape": 0.06 + basins**2, "sample_at": at, "start_at": np.asarray([[0.0, 0.4]]),
    "explained": np.asarray([0.411, 0.2]), "metric": rng.uniform(0.06, 0.1, 6), "barrier": between,
    "start_metric": np.asarray([2.3]),
  }  # fmt: skip
  summaries["landscape"] = {
    "prompt": 0.05, "samples": 6, "start": 2.3, "mean": 0.08, "explained": 0.611, "compared": 4, "basins": 2,
    "barrier": 1.29876, "largest_barrier": 0.111,
    "ensemble": {
      "recorded": {"single": 0.0801, "ensemble": 0.0612}, "final": {"single": 0.0899, "ensemble": 0.0711}
    },
  }  # fmt: skip
  turn = 2 * np.pi * np.arange(6) / 6
  tiles = np.sin(turn[:, None, None] + 0.2 * np.arange(3 * 64).reshape(3, 64)) * np.asarray([[1.0], [0.1], [3.0]])
  arrays["walk"] = {
    "tiles": tiles.reshape(6, 3, 1, 64, 1).astype(np.float16), "moved": np.ones(6, np.float32),
    "metric.recorded": 0.08 + 0.01 * np.sin(turn), "metric.final": 0.09 + 0.01 * np.sin(turn),
  }  # fmt: skip
  summaries["walk"] = {"prompt": 0.05, "frames": 6, "caption": "first-layer filters, one a hidden unit"}
  summaries["walk"] |= {"mean": 0.08, "lowest": 0.07134, "highest": 0.0887}


@pytest.fixture
def lines():
  """Of metrics.jsonl."""
  lines = [{"step": step, "loss": 1 / step, "gradient_norm": 0.1, "seconds": step / 7} for step in range(10, 610, 10)]
  for line in lines[9::10]:
    line["prompt_alignment"] = 0.9 - 300 / line["step"]
  return lines


@pytest.fixture
def write_workdir(tmp_path, summaries, arrays, lines):
  """Writes these as they are when it is called; returns the workdir."""

  def write():
    for name, summary in summaries.items():
      content = {"settings": {"own": f"settings of {name}"}, "summary": summary, "seconds": 8.4}
      workdir.write_json(tmp_path / "evaluation" / f"{name}.json", content)
    for name, of_name in arrays.items():
      np.savez_compressed(tmp_path / "evaluation" / f"{name}.npz", **of_name)
    workdir.write_bytes(tmp_path / workdir.METRICS, "".join(json.dumps(line) + "\n" for line in lines).encode())
    return tmp_path

  return write


@pytest.fixture
def found(write_workdir):
  """What `name` of the workdir holds, as it is when this is called."""

  def read(name):
    file = write_workdir() / "evaluation" / f"{name}.json"
    return Evaluated(file, **json.loads(file.read_text()))

  return read
