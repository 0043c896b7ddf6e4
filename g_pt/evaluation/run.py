"""All evaluations of one trained G.pt: arrays for the report, and a summary to print."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from g_pt.corpus.prepare import Prepared
from g_pt.evaluation.alignment import measure_alignment
from g_pt.evaluation.config import EvaluateConfig
from g_pt.evaluation.one_update import measure_one_update, optimizer_curves, steps_to_match
from g_pt.sample import GPT


def evaluate(
  gpt: GPT, prepared: Prepared, step: np.ndarray, recipe: Any, data: Any, config: EvaluateConfig, seed: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """(summary, arrays), both by dotted or nested name; deterministic in the seed.

  `step` [checkpoint] is the training step of each checkpoint of the first run,
  `data` the task's, for optimizers to train on.
  """
  keys = jax.random.split(jax.random.key(seed), 4)
  arrays: dict[str, np.ndarray] = {}
  alignment = {}
  initial = {}
  for split, runs, key in (("train", prepared.train, keys[0]), ("test", prepared.test, keys[1])):
    count = min(config.networks, len(runs.theta))
    initial[split] = jnp.asarray(runs.theta[:count, 0]), jnp.asarray(runs.metric[:count, 0])
    measured = measure_alignment(gpt, *initial[split], config.prompts, key)
    alignment[split] = measured.score
    arrays[f"alignment.{split}.prompted"] = np.asarray(measured.prompted)
    arrays[f"alignment.{split}.achieved"] = np.asarray(measured.achieved)

  one = measure_one_update(gpt, *initial["test"], keys[2])
  tuning = jnp.asarray(prepared.train.theta[: config.tuning_networks, 0])
  curves = optimizer_curves(gpt, recipe, data, initial["test"][0][: config.curve_networks], tuning, config, keys[3])
  arrays |= {"one_update.start": one.start, "one_update.achieved": one.achieved, "curves.step": curves.step}
  arrays |= {f"curves.{name}": curve.metric for name, curve in curves.by_optimizer.items()}
  arrays |= _corpus_overview(prepared, step)
  mean = float(one.achieved.mean())
  summary = {
    "task": gpt.task.name,
    "metric": gpt.metric_name,
    "prompt_alignment": alignment,
    "one_update": {
      "prompt": one.prompt,
      "networks": len(one.achieved),
      "start_mean": float(one.start.mean()),
      "achieved_mean": mean,
      "achieved_min": float(one.achieved.min()),
      "achieved_max": float(one.achieved.max()),
      "recorded_mean": {name: float(values.mean()) for name, values in one.recorded.items()},
      "optimizer_steps": int(curves.step[-1]),
      "steps_to_match": steps_to_match(gpt.metric, curves, mean),
      "learning_rate": {name: curve.learning_rate for name, curve in curves.by_optimizer.items()},
      "optimizer_final_mean": {name: float(c.metric[:, -1].mean()) for name, c in curves.by_optimizer.items()},
    },
    "corpus": {
      "runs": prepared.statistics.runs + prepared.statistics.rejected,
      "checkpoints": prepared.statistics.checkpoints,
      "rejected": prepared.statistics.rejected,
      "test_runs": prepared.statistics.test_runs,
      "final_mean": prepared.statistics.mean_final_metric,
    },
    "model": {"parameters": sum(x.size for x in jax.tree.leaves(gpt.weights))},
  }
  return summary, arrays


def _corpus_overview(prepared: Prepared, step: np.ndarray) -> dict[str, np.ndarray]:
  """How the metric falls over training, and how often each value occurs."""
  metric = prepared.train.metric
  counts, edges = np.histogram(metric, bins=60)
  return {
    "corpus.step": step,
    "corpus.quantile": np.quantile(metric, [0.05, 0.5, 0.95], axis=0),  # [quantile, checkpoint]
    "corpus.examples": metric[:24],
    "corpus.histogram_count": counts,
    "corpus.histogram_edge": edges,
  }
