"""Several processes of one job, real ones: they make what one would, are told who is missing, and end when asked."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import g_pt
from g_pt import workdir
from g_pt.corpus.store import Corpus
from tests.end_to_end_test import PATIENCE, ROOT, checkpoints, logged

CONFIG = "experiments/digits_loss.py:smoke"
TINY = [
  "--config.corpus.runs=24",
  "--config.corpus.group_size=4",
  "--config.corpus.validation_runs=4",
  "--config.corpus.test_runs=4",
  "--config.corpus.recipe.epochs=1",
  "--config.model.width=16",
  "--config.model.heads=2",
  "--config.train.steps=24",
  "--config.train.checkpoint_every=4",
  "--config.train.log_every=4",
  "--config.train.probe_every=0",
  "--config.train.history=3",
]
LOST, STOPPED = "another process of this job is gone", "training stopped after step"


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


@pytest.fixture(scope="module")
def start(process_environment):
  """(workdir, processes, flags) -> the running processes of one job."""
  running = []

  def start(directory, count, *flags, present=None, port=None):
    command = [sys.executable, "main.py", f"--config={CONFIG}", f"--workdir={directory}", *TINY]
    place = [f"--coordinator=127.0.0.1:{port or free_port()}", f"--processes={count}", "--join_timeout=20"]
    place = place if count > 1 else []
    for process in range(count) if present is None else present:
      number = [f"--process={process}"] if count > 1 else []
      options = {"cwd": ROOT, "env": process_environment, "text": True}
      running.append(subprocess.Popen([*command, *place, *number, *flags], stderr=subprocess.PIPE, **options))
    return running[-count if present is None else -len(present) :]

  yield start
  for process in running:
    process.kill()
    process.communicate()


def ended(jobs):
  """[(exit status, standard error)] of processes, which must end by themselves."""
  return [(job.wait(PATIENCE), job.stderr.read()) for job in jobs]


def finish(jobs):
  for status, told in ended(jobs):
    assert status == 0, told[-3000:]


def until(condition, jobs):
  deadline = time.monotonic() + PATIENCE
  while not condition():
    assert all(job.poll() is None for job in jobs), "they ended too soon"
    assert time.monotonic() < deadline, "they hang"
    time.sleep(0.001)


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory):
  """The workdir of one process: a corpus, and a training on it."""
  directory = tmp_path_factory.mktemp("alone") / "workdir"
  for stage in ("corpus", "train"):
    finish(start(directory, 1, f"--stage={stage}"))
  return directory


def assert_trained_alike(directory, alone):
  assert checkpoints(directory)[-1] == 24
  found, wanted = logged(directory), logged(alone)
  assert [line["step"] for line in found] == [line["step"] for line in wanted]
  for name in ("loss", "gradient_norm"):
    np.testing.assert_allclose([line[name] for line in found], [line[name] for line in wanted], rtol=1e-4)
  np.testing.assert_allclose(found[0]["loss"], wanted[0]["loss"], rtol=1e-5)


def test_two_processes_make_the_corpus_that_one_would(start, alone, tmp_path):
  finish(start(tmp_path, 2, "--stage=corpus"))
  found, wanted = (Corpus.open(directory / workdir.CORPUS) for directory in (tmp_path, alone))
  assert found.manifest.complete and found.manifest.groups_done == wanted.manifest.groups_done
  second = json.loads((found.path / "manifest.1.json").read_text())
  assert second["groups_done"] and {group % 2 for group in second["groups_done"]} >= {1}
  for array in ("theta", "step", "largest"):
    np.testing.assert_array_equal(found.read(getattr(found, array)), wanted.read(getattr(wanted, array)), err_msg=array)
  for name, array in wanted.metrics.items():
    np.testing.assert_array_equal(found.read(found.metrics[name]), wanted.read(array), err_msg=name)


@pytest.mark.parametrize(
  ("count", "killed"), [(2, [(1, 4)]), pytest.param(4, [(3, 4), (0, 12)], marks=pytest.mark.slow)], ids=["two", "four"]
)
def test_processes_that_are_killed_train_as_one(start, alone, tmp_path, count, killed):
  """Whichever of them is killed, the first one or the last, the others end, and say what to do.

  Each reads its own part of a batch from disk; the one that trains alone has all in memory.
  """
  flags = "--stage=train", f"--config.corpus.path={alone / workdir.CORPUS}", "--config.train.stream=True"
  for number, after in killed:
    jobs = start(tmp_path, count, *flags)
    until(lambda after=after: checkpoints(tmp_path)[-1:] >= [after], jobs)
    jobs[number].kill()
    others = ended(jobs[:number] + jobs[number + 1 :])
    assert all(status not in (0, None) for status, _ in others)
    assert any(LOST in told and "training goes on from step" in told for _, told in others), others
    assert checkpoints(tmp_path)[-1] < 24
  finish(start(tmp_path, count, *flags))
  assert_trained_alike(tmp_path, alone)


def test_an_error_of_one_process_ends_all(start, alone, tmp_path):
  """What it reads is damaged; the other, to whom it is not, would wait for it for ever."""
  good, damaged = alone / workdir.CORPUS, tmp_path / "damaged"
  shutil.copytree(good, damaged)
  for file in (path for path in (damaged / "theta" / "c").rglob("*") if path.is_file()):
    content = bytearray(file.read_bytes())
    content[: len(content) // 2 : 512] = bytes(len(content[: len(content) // 2 : 512]))
    file.write_bytes(content)
  flags, port = ("--stage=train", "--config.train.stream=True"), free_port()
  jobs = [
    job
    for number, corpus in enumerate((good, damaged))
    for job in start(tmp_path / "w", 2, *flags, f"--config.corpus.path={corpus}", present=[number], port=port)
  ]
  (first, told_first), (second, told_second) = ended(jobs)
  assert second == 2 and f"main.py: {damaged}: " in told_second and "delete that file" in told_second
  assert first not in (0, None) and LOST in told_first, told_first[-3000:]


@pytest.mark.parametrize("count", [1, 2])
def test_a_job_that_is_asked_to_end_keeps_all_it_did(start, alone, tmp_path, count):
  """SIGTERM to the last process; the same command then goes on."""
  flags = "--stage=train", f"--config.corpus.path={alone / workdir.CORPUS}"
  jobs = start(tmp_path, count, *flags)
  until(lambda: checkpoints(tmp_path), jobs)
  jobs[-1].send_signal(signal.SIGTERM)
  for status, told in ended(jobs):
    assert status == 0, told[-3000:]
    assert f"{STOPPED} {checkpoints(tmp_path)[-1]};" in told
  assert checkpoints(tmp_path)[-1] < 24
  finish(start(tmp_path, count, *flags))
  found, wanted = (g_pt.load(directory).weights for directory in (tmp_path, alone))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * (count > 1)), found, wanted)


@pytest.mark.parametrize("there", [0, 1])
def test_who_does_not_come_is_named(start, tmp_path, there):
  (job,) = start(tmp_path, 2, "--stage=corpus", "--join_timeout=4", present=[there])
  ((status, told),) = ended([job])
  assert status == 3
  last = told.splitlines()[-1]
  assert last.startswith(f"main.py: not all processes of this job came within 4 s; of 2, missing: {1 - there}")
  assert socket.gethostname() in last
