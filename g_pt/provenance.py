"""What a file was made under: the settings that it depends on, kept in it, and the refusal to mix others in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from g_pt import workdir
from g_pt.errors import UserError

# Settings that imported weights depend on.
_OF_WEIGHTS = ("task", "metric", "model", "diffusion")
# Where things are, how they are read, and how they are looked at while they are made.
_WITHOUT_EFFECT = {"corpus": ("path",), "train": ("log_every", "checkpoint_every", "probe_every", "history", "stream")}


def training_settings(values: dict[str, Any]) -> dict[str, Any]:
  """Of an experiment's values, those that a trained model depends on."""
  kept = {name: values[name] for name in ("task", "metric", "seed", "corpus", "model", "diffusion", "train")}
  for name, fields in _WITHOUT_EFFECT.items():
    kept[name] = {field: value for field, value in kept[name].items() if field not in fields}
  return kept


def evaluation_settings(values: dict[str, Any], name: str, uses: Sequence[str]) -> dict[str, Any]:
  """Those that an experiment with a trained model depends on; `uses` as in `g_pt.evaluation.base.Evaluation`."""
  return {
    **training_settings(values),
    **{part: values[part] for part in uses},
    "evaluate": {name: values["evaluate"][name]},
  }


def refuse_other_training(directory: Path, values: dict[str, Any]) -> dict[str, Any]:
  """What `train.json` holds; UserError, naming the fields, where the model in a workdir was made under others."""
  found = workdir.read_json(directory / workdir.TRAINED)
  if found is None:
    raise UserError(f"{directory / workdir.TRAINED}: missing; run --stage=train")
  lines = workdir.differences(_of_model(values, found), _of_model(found["config"], found))
  if lines:
    raise UserError(f"{directory} was made under other settings: {'; '.join(lines)}; choose another --workdir")
  return found


def _of_model(values: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
  """Of an experiment's values, those that the model of a `train.json` depends on."""
  if "imported" in found:  # trained elsewhere, on another corpus
    return {name: values[name] for name in _OF_WEIGHTS}
  return training_settings(values)


def refuse_results_of_another(file: Path, settings: dict[str, Any], found: dict[str, Any]) -> None:
  """UserError where an evaluation, of these settings, is not of the model of a `train.json`, or samples otherwise."""
  def compared(values: dict[str, Any]) -> dict[str, Any]:
    return _of_model(values, found) | ({"sample": values["sample"]} if "sample" in settings else {})

  lines = workdir.differences(compared(found["config"]), compared(settings))
  if lines:
    remedy = f"remove {file.name} and run --stage=evaluate"
    if "imported" not in found:  # a finished training only writes its settings again
      remedy += ", or --stage=train under the settings that are wanted"
    raise UserError(f"{file} is not of this model: {'; '.join(lines)}; {remedy}")


def refuse_other_evaluation(file: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
  """What an evaluation's file holds, None where there is none; UserError where it was made under other settings."""
  found = workdir.read_json(file)
  if found is None:
    return None
  lines = workdir.differences(wanted, found["settings"])
  if lines:
    remedy = f"remove {file.name} to evaluate again, or choose another --workdir"
    raise UserError(f"{file} was made under other settings: {'; '.join(lines)}; {remedy}")
  return found
