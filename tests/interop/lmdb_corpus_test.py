"""Checkpoint datasets of the release, in and out: the same numbers, bad runs named, nothing half that looks whole."""

import dataclasses
import json
from pathlib import Path
import shutil
import sys

import numpy as np
import pytest

from g_pt import config, stages, tasks, workdir
from g_pt.corpus.generate import CorpusConfig, generate, manifest_of, open_matching
from g_pt.corpus.split import SplitConfig, split_runs
from g_pt.corpus.store import Corpus
from g_pt.errors import CorpusError, UserError
from g_pt.interop import layout, lmdb_corpus, release_dataset
from g_pt.tasks import digits

lmdb = pytest.importorskip("lmdb", reason="needs the extra: pip install -e .[torch]")

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS, CHECKPOINTS = 3, 4  # of the golden dataset
SIZES = (7840, 10, 100, 10)


@pytest.fixture(scope="module")
def truth():
  return dict(np.load(GOLDEN / "lmdb_mnist_truth.npz"))


@pytest.fixture
def dataset(tmp_path):
  """A copy of the golden dataset, to be damaged."""
  return Path(shutil.copytree(GOLDEN / "lmdb_mnist", tmp_path / "dataset"))


def tables(folder):
  """The runs of one folder, read as the release's README says; nothing here is the project's code."""
  content = json.loads((folder / "runs.json").read_text())
  runs = {folder.name: content} if "checkpoints" in content else {run: content[run] for run in folder.name.split("_")}
  environment = lmdb.open(str(folder), readonly=True, lock=False, map_size=10485760)
  with environment.begin() as transaction:
    vectors = {key.decode(): np.frombuffer(value, np.float32) for key, value in transaction.cursor()}
  environment.close()
  return runs, vectors


def write(folder, runs, vectors):
  """The inverse of `tables`, for one run or several."""
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir(parents=True)
  with lmdb.open(str(folder), map_size=2**24, lock=False) as environment:
    with environment.begin(write=True) as transaction:
      for key, vector in vectors.items():
        transaction.put(key.encode(), np.asarray(vector, np.float32).tobytes())
  (folder / "runs.json").write_text(json.dumps(runs if len(runs) > 1 else runs[folder.name]))


def fuse(dataset, *names):
  """The same runs in one folder."""
  runs, vectors = {}, {}
  for name in names:
    more_runs, more_vectors = tables(dataset / name)
    runs |= more_runs
    vectors |= more_vectors
    shutil.rmtree(dataset / name)
  write(dataset / "_".join(names), runs, vectors)


def assert_holds(corpus, truth, names):
  """Vectors in our order, made by hand from the release's; metrics by name; steps from the keys."""
  theta = corpus.read(corpus.theta)
  assert theta.shape == (len(names), CHECKPOINTS, 7960)
  for i, name in enumerate(names):
    for k in range(CHECKPOINTS):
      fc1, bias1, fc2, bias2 = np.split(truth[f"{name}/{k}/theta"], np.cumsum(SIZES)[:-1])
      ours = bias1, fc1.reshape(10, 784).T.ravel(), bias2, fc2.reshape(10, 10).T.ravel()
      np.testing.assert_array_equal(theta[i, k], np.concatenate(ours))
      measured = [corpus.read(corpus.metrics[metric])[i, k] for metric in ("test_loss", "test_error")]
      np.testing.assert_allclose(measured, truth[f"{name}/{k}/metrics"], rtol=1e-6)
  # Epochs of 468 steps, and the step within.
  np.testing.assert_array_equal(corpus.read(corpus.step), [[0, 475, 950, 1425]] * len(names))


@pytest.mark.parametrize("fused", [(), ("000001", "000002"), ("000000", "000001", "000002")])
def test_single_and_fused_runs_are_imported(mnist, dataset, truth, fused, tmp_path):
  if fused:
    fuse(dataset, *fused)
  imported = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", group_size=2)
  corpus = Corpus.open(tmp_path / "corpus")
  assert corpus.manifest.complete and corpus.manifest.runs == RUNS
  assert sorted(corpus.metrics) == ["test_error", "test_loss", "train_error", "train_loss"]
  assert_holds(corpus, truth, [f"{run:06d}" for run in range(RUNS)])
  assert not imported.skipped and not imported.unsound


def cut_short(folder):
  file = folder / "data.mdb"
  file.write_bytes(file.read_bytes()[:-4096])


def edit(folder, change):
  runs, vectors = tables(folder)
  change(runs[folder.name]["checkpoints"], vectors)
  write(folder, runs, vectors)


def set_vector(key, vector):
  return lambda checkpoints, vectors: vectors.update({key: vector})


FIRST = "000001/ep000_it00000.pt"
DAMAGES = {
  "data.mdb is cut short: 159744 of 163840 bytes": cut_short,
  "data.mdb cannot be opened": lambda folder: (folder / "data.mdb").write_bytes(b"\0" * 9000),
  "data.mdb cannot be opened: No such file": lambda folder: (folder / "data.mdb").unlink(),
  "runs.json cannot be read: No such file": lambda folder: (folder / "runs.json").unlink(),
  "runs.json is not JSON": lambda folder: (folder / "runs.json").write_text('{"checkpoints": '),
  "runs.json lists no checkpoints of it": lambda folder: (folder / "runs.json").write_text('{"other": {}}'),
  f"{FIRST} is a vector of 7959 numbers, not 7960": lambda f: edit(f, set_vector(FIRST, np.zeros(7959))),
  f"{FIRST} is a vector of 0 numbers, not 7960": lambda f: edit(f, set_vector(FIRST, [])),
  f"{FIRST}_arch tells of layers of .7840, 10, 10, 100. param": lambda f: edit(
    f, set_vector(f"{FIRST}_arch", [7840, 10, 10, 100])
  ),
  f"data.mdb holds no {FIRST}": lambda f: edit(f, lambda checkpoints, vectors: vectors.pop(FIRST)),
  "it has 3 checkpoints with .*, where most have 4": lambda f: edit(f, lambda checkpoints, _: checkpoints.pop(FIRST)),
  "4 checkpoints with test_error, train_error, train_loss": lambda f: edit(
    f, lambda checkpoints, vectors: checkpoints[FIRST].pop("avg_test_loss")
  ),
}


@pytest.mark.parametrize("reason", DAMAGES)
def test_bad_runs_are_named_and_skipped_or_stop_the_import(mnist, dataset, truth, reason, tmp_path):
  DAMAGES[reason](dataset / "000001")
  with pytest.raises(UserError, match=f"000001: run 000001: .*{reason}.*; --on-error=skip") as error:
    lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus")
  assert "\n" not in str(error.value)
  assert not (tmp_path / "corpus").exists()
  imported = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", on_error="skip")
  assert list(imported.skipped) == ["000001"]
  assert_holds(imported.corpus, truth, ["000000", "000002"])
  assert imported.corpus.manifest.imported["skipped"] == imported.skipped


def test_a_bad_folder_names_all_its_runs(mnist, dataset, tmp_path):
  fuse(dataset, "000001", "000002")
  cut_short(dataset / "000001_000002")
  shutil.copytree(dataset / "000000", dataset / "000003")
  imported = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", on_error="skip")
  assert list(imported.skipped) == ["000001", "000002"] and imported.corpus.manifest.runs == 2


def test_weights_that_training_would_drop_are_counted(mnist, dataset, tmp_path):
  edit(dataset / "000001", set_vector(FIRST, np.full(7960, 11.0)))
  edit(dataset / "000002", set_vector(FIRST.replace("1/", "2/"), np.full(7960, np.nan)))
  imported = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus")
  assert imported.unsound == 2 and imported.corpus.manifest.runs == RUNS


def test_an_interrupted_import_goes_on_and_never_looks_whole(mnist, dataset, truth, tmp_path, monkeypatch):
  path = tmp_path / "corpus"
  write_group, written = Corpus.write_group, []

  def killed_at_the_second(self, group, *rest):
    if group == 1:
      raise KeyboardInterrupt
    written.append(group)
    return write_group(self, group, *rest)

  monkeypatch.setattr(Corpus, "write_group", killed_at_the_second)
  with pytest.raises(KeyboardInterrupt):
    lmdb_corpus.import_corpus(dataset, mnist, path, group_size=1)
  monkeypatch.undo()
  whole = "the import of .* is unfinished; import it again"
  config_of_corpus = dataclasses.replace(CorpusConfig(runs=2), checkpoints=4)
  with pytest.raises(CorpusError, match=whole):
    generate(mnist, mnist.training.recipe, config_of_corpus, 0, mnist.load(None), path)
  with pytest.raises(CorpusError, match="unfinished"):
    split_runs(Corpus.open(path), SplitConfig(validation_runs=1, test_runs=1))
  with pytest.raises(CorpusError, match="unfinished"):
    lmdb_corpus.export_corpus(Corpus.open(path), mnist, tmp_path / "out")
  with pytest.raises(CorpusError, match="another corpus"):
    lmdb_corpus.import_corpus(dataset, mnist, path, group_size=2)
  groups = []
  monkeypatch.setattr(
    Corpus, "write_group", lambda self, group, *rest: (groups.append(group), write_group(self, group, *rest))[1]
  )
  assert_holds(
    lmdb_corpus.import_corpus(dataset, mnist, path, group_size=1).corpus, truth, ["000000", "000001", "000002"]
  )
  assert (written, groups) == ([0], [1, 2])


def test_memory_holds_one_group(mnist, dataset, tmp_path, monkeypatch):
  sizes, write_group = [], Corpus.write_group
  monkeypatch.setattr(
    Corpus,
    "write_group",
    lambda self, group, theta, *rest: (sizes.append(len(theta)), write_group(self, group, theta, *rest))[1],
  )
  lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", group_size=2)
  assert sizes == [2, 1]


def test_a_limit_takes_the_first_runs(mnist, dataset, truth, tmp_path):
  (dataset / "000002" / "runs.json").unlink()  # never looked at
  imported = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", runs=2)
  assert_holds(imported.corpus, truth, ["000000", "000001"])


def test_what_is_no_dataset_is_refused(mnist, dataset, tmp_path):
  with pytest.raises(UserError, match="no dataset here"):
    lmdb_corpus.import_corpus(tmp_path / "none", mnist, tmp_path / "corpus")
  with pytest.raises(UserError, match="none of 3 runs can be read; run 000000: .*a vector of 7960 numbers, not 760"):
    lmdb_corpus.import_corpus(dataset, digits.TASK, tmp_path / "corpus", on_error="skip")
  with pytest.raises(UserError, match="1 runs of 4 checkpoints: two of both are the least"):
    lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", runs=1)
  for run in range(RUNS):
    file = dataset / f"{run:06d}" / "runs.json"
    file.write_text(file.read_text().replace("avg_", "mean_"))
  with pytest.raises(UserError, match="no metric of a known name"):
    lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus")
  assert not (tmp_path / "corpus").exists()
  named = lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", metrics={"test_loss": "mean_test_loss"})
  assert list(named.corpus.metrics) == ["test_loss"]


@pytest.fixture(scope="module")
def made(smoke_workdir):
  """A corpus of digits networks that was made here."""
  return Corpus.open(smoke_workdir / workdir.CORPUS)


@pytest.mark.parametrize("fused", [1, 3])
def test_an_export_is_in_the_releases_layout(made, fused, tmp_path):
  assert lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out", fuse=fused) == made.manifest.runs
  folders = sorted((tmp_path / "out").glob("*"))
  theta, index = made.read(made.theta), layout.release_index(digits.TASK)
  values = {name: made.read(array) for name, array in made.metrics.items()}
  seen = []
  for folder in folders:
    assert {file.name for file in folder.iterdir()} == {"data.mdb", "runs.json", "DONE.txt"}
    runs, vectors = tables(folder)
    for name, run in runs.items():
      row = int(name)
      seen.append(row)
      keys = list(run["checkpoints"])
      assert keys == sorted(keys) and len(keys) == made.manifest.checkpoints
      np.testing.assert_array_equal([vectors[key] for key in keys], theta[row][:, index])
      np.testing.assert_array_equal([vectors[f"{key}_arch"] for key in keys], [[640, 10, 100, 10]] * len(keys))
      loss = [run["checkpoints"][key]["avg_test_loss"] for key in keys]
      np.testing.assert_array_equal(np.float32(loss), values["test_loss"][row])
      metadata = run["metadata"]
      assert metadata["avg_test_loss"] == loss and metadata["optimal_test_loss"] == min(loss)
      assert metadata["optimal_test_err"] == min(metadata["avg_test_err"])
      assert metadata["max_parameter_val"] == theta[row].max() and metadata["min_parameter_val"] == theta[row].min()
  assert seen == list(range(made.manifest.runs))
  assert len(folders) == -(-made.manifest.runs // fused)


def test_the_optimum_is_the_best_of_the_metric(made, tmp_path):
  metric = dataclasses.replace(digits.TASK.metric("test_loss"), higher_is_better=True)
  measurement = dataclasses.replace(digits.TASK.measurement, metrics={"test_loss": metric})
  task = dataclasses.replace(digits.TASK, measurement=measurement)
  lmdb_corpus.export_corpus(made, task, tmp_path / "out")
  metadata = tables(tmp_path / "out" / "000000")[0]["000000"]["metadata"]
  assert metadata["optimal_test_loss"] == max(metadata["avg_test_loss"])
  assert metadata["optimal_test_err"] == min(metadata["avg_test_err"])


def test_a_run_that_changes_while_it_is_read_stops_the_import(mnist, dataset, tmp_path, monkeypatch):
  read = release_dataset.Folder.read

  def changed(self, run, metrics):
    if run == "000001":
      raise release_dataset.BadRunError("gone")
    return read(self, run, metrics)

  monkeypatch.setattr(release_dataset.Folder, "read", changed)
  with pytest.raises(UserError, match="run 000001 is no longer as it was when the import began: gone"):
    lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus", on_error="skip", group_size=1)
  assert Corpus.open(tmp_path / "corpus").manifest.groups_done == [0]


def test_what_is_exported_comes_back(made, tmp_path):
  lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out", fuse=2)
  back = lmdb_corpus.import_corpus(tmp_path / "out", digits.TASK, tmp_path / "corpus").corpus
  for name in ("theta", "step"):
    np.testing.assert_array_equal(back.read(getattr(back, name)), made.read(getattr(made, name)))
  for name, array in made.metrics.items():
    np.testing.assert_array_equal(back.read(back.metrics[name]), made.read(array))


def test_an_export_is_whole_or_absent(made, tmp_path, monkeypatch):
  write_folder = release_dataset.write_folder

  def full_at_the_third(path, *rest):
    if path.name == "000002":
      raise OSError("no space left")
    write_folder(path, *rest)

  monkeypatch.setattr(release_dataset, "write_folder", full_at_the_third)
  with pytest.raises(OSError):
    lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out")
  monkeypatch.undo()
  assert not (tmp_path / "out").exists()
  lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out")
  assert [path.name for path in tmp_path.iterdir()] == ["out"]
  with pytest.raises(UserError, match="out: exists"):
    lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out")


def test_training_takes_an_imported_corpus(made, smoke_values, tmp_path):
  lmdb_corpus.export_corpus(made, digits.TASK, tmp_path / "out")
  path = tmp_path / "workdir" / workdir.CORPUS
  lmdb_corpus.import_corpus(tmp_path / "out", digits.TASK, path, group_size=7)
  before = (path / "manifest.json").read_bytes()
  # A recipe and a seed that the corpus was not made with.
  values = smoke_values | {"seed": 5, "train": smoke_values["train"] | {"steps": 2, "probe_every": 0}}
  values["corpus"] = values["corpus"] | {"runs": 50}
  for stage in ("corpus", "train"):
    stages.run(config.parse(values), tmp_path / "workdir", stage)
  assert (path / "manifest.json").read_bytes() == before
  trained = json.loads((tmp_path / "workdir" / workdir.TRAINED).read_text())
  census = trained["census"]
  kinds = [census[f"{kind}_runs"] for kind in ("train", "validation", "test")]
  # Of runs made elsewhere any may be held out.
  assert kinds == [made.manifest.runs - 8, 4, 4]


def test_an_imported_corpus_of_other_networks_is_refused(mnist, toy, dataset, tmp_path):
  lmdb_corpus.import_corpus(dataset, mnist, tmp_path)
  wanted = manifest_of(toy, toy.training.recipe, CorpusConfig(runs=2), 0)
  with pytest.raises(CorpusError, match="imported corpus of other networks: .*task is 'mnist' there, 'toy' here"):
    open_matching(tmp_path, wanted)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_metric_that_may_be_prompted_has_the_releases_name(name):
  assert set(tasks.get(name).measurement.metrics) <= set(lmdb_corpus.METRICS)


def test_steps_are_read_off_the_keys():
  keys = ["0/it00003.pt", "0/it00007.pt"]
  np.testing.assert_array_equal(release_dataset.steps(keys, None), [3, 7])
  epochs = ["0/ep000_it00003.pt", "0/ep002_it00001.pt"]
  np.testing.assert_array_equal(release_dataset.steps(epochs, 10), [3, 21])
  np.testing.assert_array_equal(release_dataset.steps(epochs, None), [0, 1])  # who knows how long an epoch is
  np.testing.assert_array_equal(release_dataset.steps(keys[::-1], None), [0, 1])  # steps rise
  np.testing.assert_array_equal(release_dataset.steps(["first", "second"], 10), [0, 1])


def test_the_command(mnist, dataset, tmp_path, run_command):
  arguments = ["import", dataset, "--task=mnist", f"--workdir={tmp_path / 'workdir'}"]
  cut_short(dataset / "000001")
  code, out, err = run_command(lmdb_corpus.main, *arguments)
  line = err.splitlines()[-1]
  assert code == 2 and line.startswith("command: ") and "run 000001: data.mdb is cut short" in line
  code, out, err = run_command(lmdb_corpus.main, *arguments, "--on-error=skip")
  assert code == 0 and "skipped run 000001: data.mdb is cut short" in err
  assert "2 runs of 4 checkpoints with test_error, test_loss, train_error, train_loss; 1 skipped, 0 that" in out
  code, out, err = run_command(lmdb_corpus.main, "export", tmp_path / "out", f"--workdir={tmp_path / 'workdir'}")
  assert code == 0 and "2 runs of 4 checkpoints" in out
  last = tables(tmp_path / "out" / "000001")[1], tables(dataset / "000002")[1]
  np.testing.assert_array_equal(last[0]["000001/it0000475.pt"], last[1]["000002/ep001_it00007.pt"])
  for wrong, match in ((["--fuse=2"], "unrecognized arguments"), (["--metrics=loss"], "'loss' is not OURS=THEIRS")):
    code, out, err = run_command(lmdb_corpus.main, *arguments, *wrong)
    assert code == 2 and match in err and err.count("\n") == 1


def test_a_missing_library_names_the_extra(mnist, dataset, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "lmdb", None)
  with pytest.raises(
    UserError, match=r"lmdb is needed and not installed: pip install g-pt-jax\[torch\], .* \.\[torch\]"
  ):
    lmdb_corpus.import_corpus(dataset, mnist, tmp_path / "corpus")
