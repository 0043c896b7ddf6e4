"""One G.pt of many data sets, all the way: corpus, training, evaluation, report, and a data set of one's own."""

import json
from pathlib import Path
import shutil

import jax
import numpy as np
import pytest

from experiments.results import unseen_figure
import g_pt
from g_pt import config, provenance, stages, trained, workdir
from g_pt.corpus import publish
from g_pt.corpus.split import split_runs
from g_pt.errors import ConfigError, UserError
from g_pt.evaluation import data_sets
from g_pt.job import Job
from tests.stages_test import changed


@pytest.fixture(scope="module")
def directory(family_values, family_workdir, tmp_path_factory):
  """A workdir in which all stages have run."""
  folder = tmp_path_factory.mktemp("unseen") / "workdir"
  shutil.copytree(family_workdir, folder)
  for stage in ("evaluate", "report"):
    stages.run(config.parse(family_values), folder, stage)
  return folder


@pytest.fixture(scope="module")
def model(family_workdir):
  return g_pt.load(family_workdir)


@pytest.fixture(scope="module")
def images():
  """(images, labels) of ten classes, as bytes with colours: a bright square, elsewhere for each class."""
  rng = np.random.default_rng(0)
  labels = np.repeat(np.arange(10), 12)
  found = rng.integers(0, 80, (120, 16, 16, 3))
  for image, label in zip(found, labels):
    image[4 * (label // 4) : 4 * (label // 4) + 4, 4 * (label % 4) : 4 * (label % 4) + 4] += 150
  return found.astype(np.uint8), labels


def test_evaluation_tells_of_every_kind_of_data_set(directory):
  summary = json.loads((directory / workdir.SUMMARY).read_text())
  sets = summary["data_sets"]["sets"]
  assert [one["kind"] for one in sets] == ["training", "test", "held out"] and sets[2]["name"] == "digits"
  for one in sets:
    for numbers in one["metrics"].values():
      assert np.isfinite([numbers["alignment"], *numbers["one_update"].values()]).all()
      assert numbers["end"] < numbers["start"]
      told = numbers["recitation"]
      assert 0 < told["one_start"] < told["different_starts"] and told["ends"] > 0 and -1 < told["cosine"] < 1
    assert ("rivals" in one) == (one["kind"] != "training")
  rivals = sets[2]["rivals"]
  assert rivals["nesterov"]["test_loss"]["test_loss"] < 0.5 and rivals["linear discriminants"]["test_error"] < 10
  assert list(summary["data_sets"]["left_out"]) == ["no_such_set"]
  (few,) = summary["few_examples"]["sets"]
  assert [one["count"] for one in few["counts"]] == [2, 400]
  assert few["counts"][1]["ways"]["descent"]["test_error"] < 20


def test_networks_of_other_numbers_of_classes_are_judged(directory):
  sets = json.loads((directory / workdir.SUMMARY).read_text())["class_counts"]["sets"]
  assert [(one["count"], one["kind"]) for one in sets] == [(3, "test"), (3, "held out")]
  left_out = json.loads((directory / workdir.SUMMARY).read_text())["class_counts"]["left_out"]
  assert set(left_out) == {"unseen mixes, 11 classes", "digits, 11 classes"}
  assert left_out["unseen mixes, 11 classes"] == "mixes_8x8@11:digits: classes: 11 are wanted, and the sources have 10"
  for one in sets:
    loss = one["metrics"]["test_loss"]
    assert abs(loss["start"] - np.log(3)) < 0.2 and loss["end"] < loss["start"] and np.isfinite(loss["alignment"])


def test_a_further_number_of_classes_has_a_corpus_of_its_own(family_values, family_workdir):
  (further,) = Job(config.parse(family_values), family_workdir).further
  opened = further.open_corpus()
  assert opened.path == family_workdir / workdir.CORPUS / "classes_4" and opened.manifest.runs == 3
  assert opened.manifest.parameters[-1][1][-1] == 4
  first, last = (opened.read(opened.metrics["test_loss"])[:, place] for place in (0, -1))
  assert (abs(first - np.log(4)) < 0.3).all() and (last < first).all()


def test_a_further_corpus_of_a_bucket_lies_in_it(family_values):
  values = changed(family_values, "corpus.path", "memory://bucket/corpus").values
  (further,) = Job(config.parse(values), Path("workdir")).further
  assert further.corpus_path == "memory://bucket/corpus/classes_4" and further.task.name == "mixes_8x8@4:digits"


def test_one_data_set_has_no_further_numbers_of_classes(smoke_values):
  with pytest.raises(ConfigError, match="train.classes: for tasks of many data sets alone"):
    changed(smoke_values, "train.classes", (3,))


def test_bounds_are_wide_enough_for_every_number_of_classes(family_values, family_workdir):
  (further,) = Job(config.parse(family_values), family_workdir).further
  opened, found = further.open_corpus(), trained.read_family_statistics(family_workdir).start_ranges["test_loss"]
  losses = opened.read(opened.metrics["test_loss"])[:, :-1]
  assert found.low <= losses.min() + 1e-6 and found.high > np.log(10) - 0.2


@pytest.fixture
def copied(family_workdir, tmp_path):
  return shutil.copytree(family_workdir, tmp_path / "workdir")


def test_a_further_corpus_that_is_missing_or_unfinished_is_told_of_before_training(family_values, copied):
  shutil.rmtree(copied / workdir.CHECKPOINTS)
  (copied / workdir.TRAINED).unlink()
  further, config_file = copied / workdir.CORPUS / "classes_4", copied / workdir.CONFIG
  config_file.unlink()
  manifest = further / "manifest.json"
  manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"groups_done": []}))
  with pytest.raises(UserError, match="classes_4: the corpus is unfinished"):
    stages.run(config.parse(family_values), copied, "train")
  shutil.rmtree(further)
  with pytest.raises(UserError, match="classes_4"):
    stages.run(config.parse(family_values), copied, "train")
  assert not config_file.exists()


def test_too_many_classes_are_told_of_before_a_corpus_is_made(family_values, tmp_path):
  with pytest.raises(ConfigError, match="mixes_8x8@11:digits: classes: 11 are wanted, and the sources have 10"):
    stages.run(changed(family_values, "train.classes", (11,)), tmp_path, "corpus")
  assert not (tmp_path / workdir.CORPUS).exists()


def test_models_of_before_there_were_further_classes_stay_valid(family_values, copied):
  values = changed(family_values, "train.classes", None).values
  settings = provenance.training_settings(values)
  del values["train"]["classes"]
  assert not workdir.differences(settings, provenance.training_settings(config.parse(values).values))


def test_the_readme_s_picture_shows_those_that_no_corpus_has(directory):
  (panel,) = unseen_figure.drawn(directory).axes
  drawn = {line.get_label() for line in panel.lines}
  assert {"1 unseen mixes", "perfect"} < drawn and any(label.startswith("digits: ") for label in drawn)


def test_the_report_shows_them(directory):
  page = (directory / workdir.REPORT).read_text()
  headings = ("Data sets that it has never seen", "From few images")
  for text in (*headings, "permuted classes", "One update, then descent", "Left out: no_such_set", "3 classes: digits"):
    assert text in page


def test_statistics_come_back(model, tmp_path):
  trained.write_family(tmp_path, {}, model.statistics)
  found = trained.read_family_statistics(tmp_path)
  jax.tree.map(np.testing.assert_array_equal, found.scale, model.statistics.scale)
  assert found[1:] == model.statistics[1:]
  loss, error = (found.prompt_ranges[name] for name in ("test_loss", "test_error"))
  assert 0 < loss.low < loss.high < 3 and 0 <= error.low < error.high <= 100


def test_a_data_set_of_ones_own(model, images):
  mine = model.on(*images)
  network = mine.init(jax.random.key(0))
  assert 1.5 < mine.measure(network) < 5
  trained_by_it = mine.sample(network, prompt=0.5, key=jax.random.key(1))
  assert jax.tree.map(np.shape, trained_by_it) == jax.tree.map(np.shape, network)
  assert np.isfinite(mine.measure(trained_by_it))


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_any_number_of_classes_is_taken(model, images, classes):
  pictures, labels = images
  mine = model.on(np.concatenate([pictures, 255 - pictures]), (np.concatenate([labels, labels + 2])) % classes)
  network = mine.init(jax.random.key(0))
  found = mine.sample(network, prompt=0.5, key=jax.random.key(1))
  assert found["layer_1"]["bias"].shape == (classes,) and np.isfinite(mine.measure(found))


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda x, y: (x, y[:-1]), "images: 120 images need as many whole numbers as labels, not int64[119]"),
    (lambda x, y: (x, y / 2), "images: 120 images need as many whole numbers as labels, not float64[120]"),
    (lambda x, y: (x, None), "images: 120 images need as many whole numbers as labels, not object[]"),
  ],
)
def test_labels_that_do_not_go_with_images_are_said(model, images, change, message):
  with pytest.raises(UserError) as error:
    model._examples(*change(*images), "images")
  assert str(error.value) == message


def test_of_another_data_set_nothing_is_compiled_anew(model, images):
  from g_pt.gpt import _evaluating, _updating

  def use(mine):
    mine.sample(mine.init(jax.random.key(0)), prompt=0.5, key=jax.random.key(1))

  pictures, labels = images
  use(model.on(pictures, labels))
  programs = _updating(model.generator, model.config), _evaluating(model.task)
  before = [program._cache_size() for program in programs]
  use(model.on(255 - pictures, labels[::-1]))
  assert [program._cache_size() for program in programs] == before


def test_either_metric_is_prompted(model, images):
  by_error = model.on(*images, metric="test_error")
  assert by_error.metric_name == "test_error" and by_error.statistics.prompt_range.high > 50
  network = by_error.init(jax.random.key(0))
  first, second = (
    model.on(*images, metric=name).sample(network, prompt=2.0, key=jax.random.key(1), metric=2.2)
    for name in ("test_loss", "test_error")
  )
  apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), first, second)
  assert max(jax.tree.leaves(apart)) > 1e-4


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda x, y: (x[:, 0], y), "images: 48 numbers are no square of pixels"),
    (lambda x, y: (x, y - 1), "images: labels from 0 on are needed, not -1"),
    (lambda x, y: (x[y != 4], y[y != 4]), "labels: of 10 classes, from 0 on, class 4 has no images"),
    (lambda x, y: (x[y < 1], y[y < 1]), "labels: of 2 classes, from 0 on, class 1 has no images"),
    (lambda x, y: (x[:0], y[:0]), "images: labels from 0 on are needed, not none"),
    (lambda x, y: (0 * x, y), "images: all pixels are alike"),
  ],
)
def test_what_is_no_data_set_is_said_in_one_line(model, images, change, message):
  pictures, labels = images
  with pytest.raises(UserError) as error:
    model.on(*change(pictures.reshape(120, 16, 48)[:, :, :48] if "square" in message else pictures, labels))
  assert str(error.value) == message


def test_an_unknown_metric_is_said(model, images):
  with pytest.raises(UserError, match="metric: unknown 'test_return'; it is one of: test_loss, test_error"):
    model.on(*images, metric="test_return")


@pytest.mark.parametrize(
  ("path", "value", "message"),
  [
    ("corpus.used_checkpoints", 2, "corpus: only_up_to and used_checkpoints are for tasks of one data set"),
    ("train.stream", True, "train.stream: a corpus of many data sets is held in memory"),
    ("train.classes", (1,), "train.classes: 1 is less than 2"),
    ("train.classes", (3, 3), "train.classes: 3 is there twice; the task 'mixes_8x8:digits' itself has 10"),
    ("train.classes", (10,), "train.classes: 10 is there twice"),
    ("corpus.used_runs", 3, "corpus.used_runs: of further train.classes all runs are used"),
    ("corpus.runs", 50, "corpus.runs: 50 is not a multiple of group_size=3, the runs of a data set"),
    ("train.batch_size", 12, "train.batch_size: 12 is not a multiple of train.pairs.of_a_set=4 times microbatches=2"),
    ("diffusion.variable", "update", "diffusion: of a family of data sets, timesteps and schedule alone are set"),
    ("evaluate.experiments", ("course",), "evaluate.experiments: not for the task 'mixes_8x8:digits': 'course'"),
    ("task", "digits", "model.name: the task 'digits' has one data set; for these there is: chunk_transformer,"),
  ],
)
def test_settings_for_one_data_set_are_refused(family_values, path, value, message):
  with pytest.raises(ConfigError) as error:
    changed(family_values, path, value)
  assert message in str(error.value)


def test_commands_for_one_data_set_refuse_the_model(family_workdir):
  with pytest.raises(UserError, match="a G.pt of many data sets; in Python"):
    trained.load_for_one_set(family_workdir)


def test_groups_of_a_cut_corpus_keep_their_data_sets(family_values, family_workdir, model, tmp_path):
  """The corpora of other numbers of classes are inside, cut as well."""
  publish.publish(publish.of_workdir(family_workdir), tmp_path / "cut", limit=240_000)
  assert sum(file.stat().st_size for file in (tmp_path / "cut").rglob("*") if file.is_file()) <= 240_000
  found = []
  for place in (family_workdir / workdir.CORPUS, tmp_path / "cut"):
    experiment = changed(family_values, "corpus.path", str(place))
    job = Job(experiment, tmp_path)
    assert all(one.open_corpus().manifest.complete for one in job.further)
    opened = job.open_corpus()
    test = split_runs(opened, experiment.split).test
    found += data_sets.drawn_sets(model, opened, test, "test", 1, 1, experiment.seed)
  whole, cut = found
  assert opened.manifest.num_groups == 3 and whole.name == cut.name == "test set 5"
  jax.tree.map(np.testing.assert_array_equal, cut.data, whole.data)
