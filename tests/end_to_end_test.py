"""The smoke experiment as real processes: to its end, and killed in every stage and started again."""

import json
import os
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


def processor_seconds(process):
  """What the process has used so far (Linux)."""
  fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
  assert set(summary["seconds"]) == {"corpus", "train", "evaluate", "report"}
  assert groups_done(directory) == [0, 1] and checkpoints(directory)[-1] == 60
  for name in (workdir.CONFIG, workdir.TRAINED, workdir.METRICS, workdir.ARRAYS, workdir.REPORT):
    assert (directory / name).stat().st_size > 0
  assert list((directory / "tensorboard").iterdir())


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells by /proc that evaluation is under way")
def test_killed_in_every_stage_it_ends_the_same(start, uninterrupted, tmp_path):
  directory = tmp_path / "killed"
  kill_when(start(directory), lambda: groups_done(directory))
  assert groups_done(directory) == [0]
  kill_when(start(directory), lambda: checkpoints(directory))
  assert groups_done(directory) == [0, 1] and checkpoints(directory)[-1] < 60

  process, trained_at = start(directory), []

  def is_evaluating():
    if not trained_at and 60 in checkpoints(directory):
      trained_at.append(processor_seconds(process))
    return trained_at and processor_seconds(process) > trained_at[0] + 1.0

  kill_when(process, is_evaluating)
  assert not (directory / workdir.SUMMARY).exists()
  printed = finish(start(directory), directory)

  whole, whole_printed = uninterrupted
  summaries = [json.loads((path / workdir.SUMMARY).read_text()) for path in (directory, whole)]
  for summary in summaries:
    del summary["seconds"]
  assert summaries[0] == summaries[1]
  arrays, whole_arrays = (np.load(path / workdir.ARRAYS) for path in (directory, whole))
  for name in whole_arrays:
    np.testing.assert_array_equal(arrays[name], whole_arrays[name], err_msg=name)
  assert logged(directory) == logged(whole)
  assert f"report: {directory / workdir.REPORT}" in printed and len(printed) > len(whole_printed) / 2
