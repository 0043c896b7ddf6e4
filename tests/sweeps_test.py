"""A sweep trains its points once each, on one corpus, and tells how what they lose falls."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.results import scaling as scaling_results
from experiments.results import unseen_figure
from experiments.sweeps import base, report, run, scaling, unseen
from experiments.sweeps.base import Published, Sweep
from experiments.sweeps.cost import flop_of_step
from experiments.sweeps.fit import power_law
from g_pt import config, workdir
from g_pt.errors import UserError

TINY = Sweep(
  name="tiny",
  experiment="digits_loss:smoke",
  axes={"train.steps": (2,)},
  overrides={
    "corpus.runs": 24,
    "corpus.checkpoints": 6,
    "corpus.group_size": 4,
    "corpus.validation_runs": 4,
    "corpus.test_runs": 4,
    "corpus.recipe.epochs": 1,
    "model.width": 16,
    "model.heads": 2,
    "model.frequencies": 8,
    "train.steps": 3,
    "train.probe_every": 0,
    "train.microbatches": 2,
    "train.behaviour": 0.0,
    "sample.steps": 2,
    "evaluate.experiments": ("alignment", "one_update", "corpus", "model"),
    "evaluate.alignment.networks": 2,
    "evaluate.alignment.prompts": 3,
    "optimizers.networks": 2,
    "optimizers.optimizers": (),
    "mesh.data": 1,
  },
)


@pytest.fixture(scope="module")
def finished(smoke_workdir, tmp_path_factory):
  """The tiny sweep, all of it, on the corpus of the smoke workdir; not to be written to."""
  place = run.Place(tmp_path_factory.mktemp("sweep"), smoke_workdir / workdir.CORPUS)
  run.run_sweep(TINY, place, index=1)
  assert not (place.folder / "default").exists(), "one index is one job"
  assert run.run_sweep(TINY, place) == []
  return place


@pytest.mark.parametrize("name", base.NAMES)
def test_every_point_of_a_sweep_differs_in_one_field_alone(name, tmp_path):
  sweep = base.get(name)
  points = base.points(sweep)
  assert sweep.name == name and len({point.name for point in points}) == len(points)
  first, *others = (config.parse(base.values_of(sweep, point, tmp_path)).values for point in points)
  for point, values in zip(points[1:], others):
    (line,) = workdir.differences(first, values)
    assert line.startswith(f"{point.axis} is {point.value} there"), line


def test_a_point_s_corpus_is_the_shared_one(finished):
  assert sorted(path.name for path in finished.folder.iterdir()) == ["default", "steps=2", run.SWEEP]
  for point in base.points(TINY):
    assert workdir.read_json(finished.folder / point.name / workdir.CONFIG)["corpus"]["path"] == str(finished.corpus)


def test_what_was_measured_is_not_run_again(finished, capsys):
  files = [finished.folder / point.name / workdir.TRAINED for point in base.points(TINY)]
  before = [file.stat().st_mtime_ns for file in files]
  capsys.readouterr()
  run.run_sweep(TINY, finished)
  printed = capsys.readouterr().out
  assert printed.count("measured already") == 2 and "job 2 of 2 (index 1): train.steps=2" in printed
  assert [file.stat().st_mtime_ns for file in files] == before
  assert run.listed(TINY, finished.folder).count("measured") == 2


def test_a_point_made_under_other_settings_is_refused(finished):
  other = dataclasses.replace(TINY, overrides={**TINY.overrides, "train.steps": 4})
  with pytest.raises(UserError, match="under other settings: train.steps is 3 there, 4 here"):
    run.run_sweep(other, finished)
  run.run_sweep(TINY, finished)  # its own description again


def test_flop_are_of_all_microbatches_and_grow_with_the_model(finished):
  default, shorter = base.points(TINY)

  def flop(**changes):
    values = base.values_of(TINY, default, finished.corpus)
    for part, of_part in changes.items():
      values[part] |= of_part
    return flop_of_step(config.parse(values), finished.folder / default.name)

  one = flop()
  for point, steps in ((default, 3), (shorter, 2)):
    cost = workdir.read_json(finished.folder / point.name / run.COST)
    assert cost == {"flop_of_step": one, "steps": steps, "training_flop": steps * one}
  assert flop(train={"microbatches": 8}) == one
  # Every weight of a token multiplies and adds at least once a pair forward, and twice backward.
  parameters = workdir.read_json(finished.folder / "default" / workdir.SUMMARY)["model"]["parameters"]
  assert 3 * 32 * parameters < one < 6 * 32 * 11 * parameters * 1.5
  assert one < flop(train={"behaviour": 1.0}) and one < flop(model={"width": 32})


def test_more_than_one_process_needs_the_corpus_first(tmp_path):
  place = run.Place(tmp_path / "sweep", tmp_path / "corpus")
  with pytest.raises(UserError, match=r"corpus: no corpus here"):
    run.run_sweep(TINY, place, index=0)
  assert not place.folder.exists()


@pytest.mark.parametrize(
  ("arguments", "line"),
  [
    (["--sweep=digit"], "--sweep: unknown 'digit'; it is one of: digits, mnist, cifar10"),
    (["--sweep=mnist", "--index=5"], "--index: 5 is none of the 5 jobs of mnist, 0 to 4"),
    (["--sweep=mnist", "--index=-1"], "--index: -1 is none of the 5 jobs of mnist, 0 to 4"),
  ],
)
def test_what_is_not_there_is_one_line(arguments, line, tmp_path):
  with pytest.raises(UserError) as refused:
    run.main([*arguments, f"--workdir={tmp_path / 'sweep'}"])
  assert str(refused.value) == line
  assert not (tmp_path / "sweep").exists()


def test_an_array_s_task_is_the_index(tmp_path, monkeypatch):
  monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "77")
  with pytest.raises(UserError, match="--index: 77 is none of"):
    run.main(["--sweep=mnist", f"--workdir={tmp_path}"])


def test_an_unknown_field_is_named(tmp_path):
  sweep = dataclasses.replace(TINY, axes={"model.breadth": (3,)})
  with pytest.raises(UserError, match="model.breadth: unknown field"):
    run.run_sweep(sweep, run.Place(tmp_path, tmp_path / "corpus"))


def test_a_power_law_is_found_exactly():
  x = np.array([3.0, 10.0, 200.0, 7e4])
  found = power_law(x, 5 * x**-0.3)
  assert found.slope == pytest.approx(-0.3) and found.factor == pytest.approx(5)
  assert found.standard_error == pytest.approx(0, abs=1e-12) and (found.points, found.left_out) == (4, 0)


def test_the_standard_error_is_that_of_repeated_measurements():
  """Over many made-up sweeps of one law, slopes scatter by what each of them says."""
  rng = np.random.default_rng(0)
  x = np.geomspace(1, 1e4, 8)
  fits = [power_law(x, x**0.5 * np.exp(rng.normal(0, 0.2, 8))) for _ in range(2000)]
  slopes = np.array([fit.slope for fit in fits])
  variance = np.mean([fit.standard_error**2 for fit in fits])
  assert slopes.mean() == pytest.approx(0.5, abs=0.003)
  assert variance == pytest.approx(slopes.var(), rel=0.1)


def test_points_without_a_logarithm_are_left_out_and_counted():
  x = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
  found = power_law(x, np.array([1.0, 2.0, 4.0, 0.0, -3.0]))
  assert found.slope == pytest.approx(1) and (found.points, found.left_out) == (3, 2)
  assert power_law(x, np.array([1.0, 2.0, 0.0, 0.0, 0.0])) is None
  assert power_law(np.ones(4), x[:4]) is None


@pytest.fixture
def made_up(tmp_path):
  """Five widths whose 1 - R^2 falls as the -0.4 power of parameters; only three of them end worse than runs."""
  widths = {"default": 16, "width=2": 2, "width=4": 4, "width=8": 8, "width=64": 64}
  published = Published("published", (64, 2048), (-2.7, 0.4))
  sweep = dataclasses.replace(TINY, axes={"model.width": (2, 4, 8, 64)}, published={"model.width": published})
  workdir.write_json(tmp_path / run.SWEEP, dataclasses.asdict(sweep))
  for name, width in widths.items():
    parameters, folder = 100 * width, tmp_path / name
    lost, update = parameters**-0.4, 0.1 + 0.04 * np.log(32 / width)
    summary = {
      "task": "digits",
      "metric": "test_loss",
      "alignment": {"test": {"recorded": {"mean": 1 - lost}, "final": {"mean": 0.9 - lost}}},
      "one_update": {"numbers": {"recorded": {"test_loss": {"mean": update}}}},
      "corpus": {"final_mean": 0.1},
      "model": {"parameters": parameters},
    }
    workdir.write_json(folder / workdir.SUMMARY, summary)
    census = {"train_runs": 16, "checkpoints": 6}
    workdir.write_json(folder / workdir.TRAINED, {"census": census, "config": {"model": {"width": width}}})
    workdir.write_json(folder / run.COST, {"flop_of_step": 1e6, "steps": 3, "training_flop": 3e6 * width})
  return tmp_path


def test_the_report_holds_rows_and_slopes(made_up, capsys):
  report.main([f"--workdir={made_up}"])
  printed = capsys.readouterr().out
  kept = json.loads((made_up / report.TABLE).read_text())
  assert [row["name"] for row in kept["rows"]] == ["default", "width=2", "width=4", "width=8", "width=64"]
  fits = {(fit["x"], fit["y"]): fit["fit"] for fit in kept["fits"]}
  assert fits["parameters", "lost"]["slope"] == pytest.approx(-0.4)
  assert fits["training_flop", "lost"]["slope"] == pytest.approx(-0.4)
  excess = fits["parameters", "excess"]
  assert (excess["points"], excess["left_out"]) == (4, 1) and excess["slope"] < 0
  assert "width=64" in printed and "-0.400" in printed and "6,400" in printed
  text = (made_up / workdir.REPORT).read_text()
  for words in ("Scaling of G.pt on digits", "-0.40 ± 0.00", "Beside the published curve", "width=64"):
    assert words in text, words


def test_the_default_lies_on_every_axis_in_its_place(made_up):
  study = scaling.read(made_up)
  assert [row.name for row in study.on("model.width")] == ["width=2", "width=4", "width=8", "default", "width=64"]


def test_the_readme_has_a_row_an_axis(made_up, tmp_path, monkeypatch):
  monkeypatch.setattr(scaling_results, "FOLDER", tmp_path / "results")
  kept = scaling_results.keep(made_up)
  content = workdir.read_json(kept) | {"sweep": "digits"}
  workdir.write_json(tmp_path / "results" / "sweep_digits.json", content)
  *_, row = scaling_results.table().splitlines()
  assert row.startswith(
    "| digits, loss: parameters of G.pt | 200; 400; 800; 1.6K; 6.4K | 0.880; 0.909; 0.931; 0.948; 0.970 |"
  )
  assert row.endswith("| -0.40 ± 0.00 |")


def test_a_point_that_is_not_measured_is_left_out(made_up):
  (made_up / "width=4" / workdir.SUMMARY).unlink()
  assert "width=4" not in [row.name for row in scaling.read(made_up).rows]


def test_a_folder_without_a_sweep_is_one_line(tmp_path):
  with pytest.raises(UserError) as refused:
    report.main([f"--workdir={tmp_path}"])
  assert str(refused.value).startswith(f"{tmp_path}: no sweep here (sweep.json is missing)")
  workdir.write_json(tmp_path / run.SWEEP, dataclasses.asdict(TINY))
  with pytest.raises(UserError, match="no point of the sweep is measured yet"):
    scaling.read(tmp_path)


def test_a_sweep_that_ran_has_its_report(finished, tmp_path):
  folder = shutil.copytree(finished.folder, tmp_path / "sweep")
  study = report.write(folder)
  assert [(row.name, row.runs, row.checkpoints, row.steps) for row in study.rows] == [
    ("default", 16, 6, 3),
    ("steps=2", 16, 6, 2),
  ]
  assert all(fitted.slope is None for fitted in study.fits), "two points are no law"


def test_a_sweep_over_data_sets_has_a_row_a_point(family_values, family_workdir, tmp_path, monkeypatch, capsys):
  """Of two points the one that is there is told of; each is the experiment with one field changed."""
  tiny = unseen.get_sweep()
  tiny = dataclasses.replace(tiny, axes={"train.steps": (10,)})
  monkeypatch.setattr(unseen, "get_sweep", lambda: tiny)

  def values_of(sweep, point, folder, data_dir):
    values = json.loads(json.dumps(family_values))
    values["corpus"]["path"] = str(family_workdir / workdir.CORPUS)
    values["train"]["steps"] = point.value or 20
    values["evaluate"]["experiments"] = ("data_sets", "corpus", "model")
    values["evaluate"]["data_sets"] |= {"compared": False, "held_out": ()}
    return values

  monkeypatch.setattr(unseen, "values_of", values_of)
  unseen.main([f"--workdir={tmp_path}", "--index=1"])
  assert "steps=10" in capsys.readouterr().out and not (tmp_path / "default").exists()
  (row,) = json.loads((tmp_path / unseen.TABLE).read_text())["rows"]
  assert row["name"] == "steps=10" and set(row["sets"]) == {"sets of the corpus", "unseen mixes"}
  with pytest.raises(UserError, match="--index: 2 is none of the 2 jobs of unseen, 0 to 1"):
    unseen.main([f"--workdir={tmp_path}", "--index=2"])


def test_points_of_a_sweep_over_data_sets_lie_where_their_axis_says(tmp_path):
  every = base.points(unseen.get_sweep())
  rows = [
    {"name": point.name, "axis": point.axis, "value": point.value, "parameters": 1000 + number}
    | {"sets": {"fashion_mnist": {"alignment": 0.9, "one_update": 0.7, "end": 0.6}}}
    for number, point in enumerate(every)
  ]
  workdir.write_json(tmp_path / unseen.TABLE, {"rows": rows})
  panels = unseen_figure.curves(tmp_path).axes
  found = {panel.get_xlabel(): panel.lines[0].get_xdata().tolist() for panel in panels}
  assert found.pop("weights of the model")[0] == 1000 and len(found) == 3
  assert found["sources"] == [1, 2, 3] and found["steps of training"] == [200, 400, 800, 1600]
  assert found["data sets of the corpus"] == [8, 32, 128, 768]


def test_other_sources_have_a_corpus_of_their_own(tmp_path):
  sweep = unseen.get_sweep()
  every = {point.name: unseen.values_of(sweep, point, tmp_path, None) for point in base.points(sweep)}
  paths = {name: config.parse(values).corpus_path for name, values in every.items()}
  assert paths["steps=200"] == paths["used_runs=64"] == paths["default"] == str(tmp_path / workdir.CORPUS)
  assert paths["task=mixes_8x8:digits"] == str(tmp_path / "task=mixes_8x8:digits" / workdir.CORPUS)
