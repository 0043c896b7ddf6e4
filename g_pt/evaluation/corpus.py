"""The corpus that a G.pt learned from: how its metric falls over a run, and how often each value occurs."""

from __future__ import annotations

import numpy as np

from g_pt.evaluation.base import Context, NoSettings, Result

_EXAMPLES = 24  # runs drawn one by one

Settings = NoSettings
USES = ()


def run(context: Context, settings: Settings) -> Result:
  """Of the training runs; no network of them is read."""
  del settings
  corpus, split = context.corpus, context.split
  metric = corpus.read(corpus.metrics[context.gpt.metric_name], split.train)
  counts, edges = np.histogram(metric, bins=60)
  arrays = {
    "step": corpus.read(corpus.step, split.train[:1])[0],
    "quantile": np.quantile(metric, [0.05, 0.5, 0.95], axis=0),
    "examples": metric[:_EXAMPLES],
    "histogram_count": counts,
    "histogram_edge": edges,
  }
  summary = {
    "runs": corpus.manifest.runs,
    "train_runs": len(split.train),
    "validation_runs": len(split.validation),
    "test_runs": len(split.test),
    "rejected": split.rejected,
    "checkpoints": corpus.manifest.checkpoints,
    "final_mean": float(metric[:, -1].mean()),
    "seconds": round(corpus.manifest.seconds, 1),
  }
  return Result(summary, arrays)
