"""The smoke experiment as real processes: to its end, and killed in every stage and started again."""

import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from g_pt import workdir

ROOT = Path(__file__).parent.parent
PATIENCE = 300  # seconds; a process that takes longer hangs


@pytest.fixture(scope="module")
def start(process_environment):
  """workdir -> a running `python main.py` of the smoke experiment."""
  running = []

  def start(directory):
    command = [sys.executable, "main.py", "--config=experiments/digits_loss.py:smoke", f"--workdir={directory}"]
    with directory.with_suffix(".stderr").open("a") as errors:
      running.append(
        subprocess.Popen(command, cwd=ROOT, env=process_environment, stdout=subprocess.PIPE, stderr=errors, text=True)
      )
    return running[-1]

  yield start
  for process in running:
    process.kill()
    process.communicate()


def finish(process, directory):
  """What the process printed; it must end well."""
  printed, _ = process.communicate(timeout=PATIENCE)
  assert process.returncode == 0, directory.with_suffix(".stderr").read_text()[-3000:]
  return printed


def kill_when(process, condition):
  """Kills the process without warning once `condition()` holds; it must not have ended by then."""
  deadline = time.monotonic() + PATIENCE
  while not condition():
    assert process.poll() is None, "it ended before it could be killed"
    assert time.monotonic() < deadline, "it hangs"
    time.sleep(0.001)
  process.kill()
  assert process.wait() == -signal.SIGKILL


def groups_done(directory):
  manifest = workdir.read_json(directory / workdir.CORPUS / "manifest.json")
  return manifest["groups_done"] if manifest else []


def checkpoints(directory):
  """Steps of the whole checkpoints."""
  folder = directory / workdir.CHECKPOINTS
  return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.exists() else []


def logged(directory):
  """The lines of metrics.jsonl but for the time that they took."""
  lines = [json.loads(line) for line in (directory / workdir.METRICS).read_text().splitlines()]
  return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(start, tmp_path_factory):
  """(workdir, what was printed) of a run to the end."""
  directory = tmp_path_factory.mktemp("processes") / "uninterrupted"
  return directory, finish(start(directory), directory)


def test_the_smoke_experiment_runs_to_its_end(uninterrupted):
  directory, printed = uninterrupted
  assert f"report: {directory / workdir.REPORT}" in printed
  summary = json.loads((directory / workdir.SUMMARY).read_text())
  assert summary["task"] == "digits" and summary["metric"] == "test_loss"
  assert set(summary["seconds"]) == {"corpus", "train", "evaluate"}
  assert groups_done(directory) == [0, 1, 2, 3] and checkpoints(directory)[-1] == 60
  for name in (workdir.CONFIG, workdir.TRAINED, workdir.UNITS, workdir.METRICS, workdir.REPORT):
    assert (directory / name).stat().st_size > 0
  assert list((directory / "tensorboard").iterdir())


def test_killed_in_every_stage_it_ends_the_same(start, uninterrupted, tmp_path):
  directory = tmp_path / "killed"
  kill_when(start(directory), lambda: groups_done(directory))
  assert len(groups_done(directory)) < 4
  kill_when(start(directory), lambda: checkpoints(directory))
  assert groups_done(directory) == [0, 1, 2, 3] and checkpoints(directory)[-1] < 60

  folder = directory / workdir.EVALUATION
  kill_when(start(directory), lambda: (folder / "alignment.json").exists())
  assert not (directory / workdir.SUMMARY).exists()
  printed = finish(start(directory), directory)

  whole, whole_printed = uninterrupted
  summaries = [json.loads((path / workdir.SUMMARY).read_text()) for path in (directory, whole)]
  for summary in summaries:  # of times, which differ
    del summary["seconds"], summary["corpus"]["seconds"], summary["model"]["seconds"]
  assert summaries[0] == summaries[1]
  arrays = sorted(path.name for path in (whole / workdir.EVALUATION).glob("*.npz"))
  assert {"alignment.npz", "one_update.npz", "corpus.npz"} <= set(arrays)
  for name in arrays:
    found, wanted = (np.load(path / workdir.EVALUATION / name) for path in (directory, whole))
    for array in wanted:
      np.testing.assert_array_equal(found[array], wanted[array], err_msg=f"{name} {array}")
  assert logged(directory) == logged(whole)
  assert f"report: {directory / workdir.REPORT}" in printed and len(printed) > len(whole_printed) / 2
