"""The README's results are those of the kept summaries, and a kept summary is that of its workdir."""

import copy
import json

import numpy as np
import pytest

from experiments.results import answers, api, collect, plan, readme, sampling, tpu
from g_pt import workdir
from g_pt.errors import UserError

MATCHED = {"steps": 287.4, "interval": [250.0, None], "learning_rate": 0.1, "decay": 0.25, "best_mean": 0.08}
NEVER = MATCHED | {"steps": None, "interval": [None, None]}
SUMMARY = {
  "task": "digits",
  "metric": "test_loss",
  "alignment": {"test": {"recorded": {"mean": 0.9941}, "final": {"mean": 0.9876}}},
  "one_update": {
    "prompt": 0.05,
    "numbers": {
      part: {"test_loss": {"start": 2.34, "mean": mean}}
      for part, mean in (("recorded", 0.0929), ("final", 0.101), ("whole", 0.097))
    },
    "optimizers": {part: {"sgd": NEVER, "nesterov": MATCHED} for part in ("recorded", "final")},
  },
  "corpus": {"final_mean": 0.0859},
}


def content(*summaries):
  return {"command": "python main.py", "processor": "a processor", "summaries": list(summaries)}


def other_seed(mean):
  summary = copy.deepcopy(SUMMARY)
  summary["one_update"]["numbers"]["recorded"]["test_loss"]["mean"] = mean
  return summary


def test_rows_show_both_parts_and_the_published_value():
  experiment = readme.Experiment("digits_loss", "digits, test loss", published={"update": "0.19"})
  alignment, update, steps = readme.rows(experiment, content(SUMMARY))
  assert alignment == (
    "| digits, test loss: prompt alignment on test runs, one seed | 0.994 | 0.988 | - | `python main.py` |"
  )
  assert "from 2.34 (runs end at 0.0859); on the whole test set 0.0970 | 0.0929 | 0.101 | 0.19 | the same |" in update
  assert "| Nesterov 287 (250 to more); SGD: never |" in steps


def test_several_seeds_are_a_mean_and_a_range():
  experiment = readme.Experiment("digits_loss", "digits, test loss")
  _, update, _ = readme.rows(experiment, content(*map(other_seed, (0.09, 0.1, 0.11))))
  assert "| 0.100 (0.0900 to 0.110) |" in update


def test_the_page_of_the_api_is_what_the_docstrings_say():
  assert api.PAGE.read_text() == api.page(), "python -m experiments.results.api writes it"


def test_the_readme_is_what_the_summaries_say():
  text = readme.README.read_text()
  assert readme.written(text) == text
  for name, table in readme.TABLES.items():
    begin, end = readme.block(name)
    assert f"{begin}\n{table()}\n{end}" in text


@pytest.mark.parametrize("mark", [mark for name in readme.TABLES for mark in readme.block(name)])
def test_a_readme_without_a_mark_is_refused(mark):
  with pytest.raises(UserError, match="README.md: no <!-- "):
    readme.written(readme.README.read_text().replace(mark, ""))


def test_answers_are_of_the_evaluations_that_are_there(monkeypatch, tmp_path):
  after = {"recorded": {"after": [6.5, 7.25, None]}}
  inits = {
    "own": after,
    "half": {"recorded": {"after": [9.0, 8.0, 7.0]}},
    "orthogonal": after,
    "kaiming_fan_out": after,
  }
  monkeypatch.setattr(answers, "FOLDER", tmp_path)
  assert answers.table().count("\n") == 1
  workdir.write_json(
    tmp_path / "mnist_error.json", content({"recursion": {"inits": inits}, "walk": {"lowest": 5, "highest": 7}})
  )
  _, _, own, near, far, walk = answers.table().splitlines()
  assert "| - | - | 6.50; 7.25; diverges | - | - | - |" in own
  assert "| 6.50 to 9.00; 7.25 to 8.00; diverges |" in near and "| 6.50; 7.25; diverges |" in far
  assert walk.endswith("| - | - | 5.00 to 7.00 | - | - | - |")


def test_what_a_variant_found_stands_in_the_column_of_its_experiment(monkeypatch, tmp_path):
  monkeypatch.setattr(answers, "FOLDER", tmp_path)
  found = {"edge": 0.3, "run_ends": 0.1, "recorded": {"at_edge": 0.31, "best": 0.25}}
  workdir.write_json(tmp_path / "digits_loss_truncated.json", content({"extrapolation": found}))
  *_, row = answers.table().splitlines()
  assert ":truncated" in row and "| 0.300; 0.310; 0.250; 0.100 | - | - | - | - |" in row


def test_a_program_of_a_tpu_is_a_row_with_what_bounds_it(monkeypatch, tmp_path):
  row = {
    "topology": "v5e:4x4",
    "task": "mnist",
    "program": "train",
    "mesh": "fsdp=16",
    "chips": 16,
    "argument_bytes": 8e8,
    "temporary_bytes": 17e9,
    "fits": False,
    "flop": 3.414e12,
    "memory_bytes": 1.06e10,
    "received_bytes": {"all-reduce": 2.9e8, "all-gather": 7.1e8},
    "seconds": {"products": 0.0173, "memory": 0.0129, "interconnect": 0.0086},
    "share_of_peak": 0.997,
    "share_of_peak_in_rings": 0.5,
  }
  monkeypatch.setattr(tpu, "KEPT", tmp_path / "tpu.json")
  assert tpu.table().count("\n") == 1
  workdir.write_json(tpu.KEPT, {"compiler": "libtpu 1", "results": [row, row | {"received_bytes": {}}]})
  *_, first, second = tpu.table().splitlines()
  sizes = "0.80 | 17.0 | no | 3.41 | 10.6 | all-gather 0.71, all-reduce 0.29"
  assert first == f"| mnist, train | 16 of v5e:4x4 | fsdp=16 | {sizes} | 17.3 (products) | 100% | 50% |"
  assert "| none | 17.3" in second


def test_a_variant_is_named_by_its_configuration(tmp_path, monkeypatch):
  monkeypatch.setattr(collect, "FOLDER", tmp_path / "results")
  (tmp_path / "digits_loss.py").touch()
  (tmp_path / "results").mkdir()
  for name in ("digits_loss", "digits_loss_truncated"):
    directory = tmp_path / "runs" / name
    workdir.write_json(directory / workdir.SUMMARY, SUMMARY)
    workdir.write_json(directory / workdir.CONFIG, {"seed": 3})
    made_by = json.loads(collect.collect([directory], name).read_text())["command"]
    variant = ":truncated" if name.endswith("truncated") else ""
    assert made_by == f"python main.py --config=experiments/digits_loss.py{variant} --workdir=runs/{name}"


def test_ways_to_sample_are_compared_on_validation_runs(smoke_workdir, capsys):
  """What is as configured is told first; a cold sample that is stopped early is another than a warm one."""
  sampling.main([str(smoke_workdir), "--temperatures=0,1", "--stops=0", "--networks=4"])
  first, _, cold, warm = capsys.readouterr().out.splitlines()
  assert first.startswith("4 validation runs; as configured: SampleConfig(")
  assert cold.split()[:2] == ["0", "0"] and warm.split()[:2] == ["1", "0"] and cold.split()[3:] != warm.split()[3:]
  with pytest.raises(UserError, match="--stop: 2.0"):
    sampling.main([str(smoke_workdir), "--stops=2", "--networks=4"])


def test_a_summary_is_kept_with_its_command_and_processor(tmp_path, monkeypatch):
  monkeypatch.setattr(collect, "FOLDER", tmp_path)
  directory = tmp_path / "runs" / "digits_loss"
  with pytest.raises(UserError, match="digits_loss: not evaluated yet"):
    collect.collect([directory], "digits_loss")
  workdir.write_json(directory / workdir.SUMMARY, SUMMARY)
  workdir.write_json(directory / workdir.CONFIG, {"seed": 3})
  kept = json.loads(collect.collect([directory], "digits_loss").read_text())
  assert kept["summaries"] == [{"seed": 3, **SUMMARY}]
  assert kept["command"] == "python main.py --config=experiments/digits_loss.py --workdir=runs/digits_loss"
  assert kept["processor"] and set(kept["versions"]) == {"jax", "jaxlib", "flax", "optax"}


def test_the_plan_is_of_the_published_scale_and_stands_in_the_page_on_launching():
  """2.1, 11.4 and 10 million checkpoints; twice the speed is half the time."""
  assert plan.table(plan.DEFAULT) in (readme.README.parent / "launch/README.md").read_text()
  plans = [plan.plan_of(task, plan.DEFAULT) for task in plan.EXPERIMENTS]
  assert [round(found.checkpoints / 1e6) for found in plans] == [2, 11, 10]
  fast = plan.plan_of("mnist", plan.DEFAULT._replace(share=2 * plan.DEFAULT.share))
  np.testing.assert_allclose(fast.hours, [hours / 2 for hours in plans[0].hours])
  assert fast.chip_hours == pytest.approx(16 * sum(fast.hours))
  with pytest.raises(UserError, match="tpu.json: nothing of v9:1x1, mnist, corpus; run experiments.benchmarks.tpu"):
    plan.plan_of("mnist", plan.DEFAULT._replace(topology="v9:1x1"))
