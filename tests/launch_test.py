"""What launch/ would run: each dry run prints it, shell and manifests are checked, and local processes are real."""

import json
from pathlib import Path
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = sorted([*LAUNCH.rglob("*.sh"), *LAUNCH.rglob("*.sbatch")])
TPU = ["--name=pod", "--zone=here"]
POD = ["--name=mine", "--image=registry/g_pt:cuda", "--claim=runs"]


def run(script, *arguments, **options):
  command = ["bash", str(LAUNCH / script), *arguments]
  return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, **options)


def dry(script, *arguments):
  done = run(script, *arguments, "--dry-run")
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script):
  done = subprocess.run([Path(sys.executable).parent / "shellcheck", script], capture_output=True, text=True)
  assert done.returncode == 0, done.stdout


def test_local_processes_have_numbers_and_a_place_to_meet():
  first, second = dry("local_processes.sh", "--processes=2", "--config=a.py", "--workdir=w").splitlines()
  assert first == (
    ".venv/bin/python main.py --config=a.py --workdir=w --coordinator=127.0.0.1:PORT --processes=2 --process=0"
  )
  assert second == first.replace("--process=0", "--process=1")


def test_slurm_runs_an_experiment_on_all_nodes_or_a_sweep_by_index():
  assert dry("slurm.sbatch", "--config=a.py", "--workdir=w").strip() == (
    "srun --kill-on-bad-exit=1 .venv/bin/python main.py --multihost --config=a.py --workdir=w"
  )
  assert dry("slurm.sbatch", "--sweep=digits").strip() == (".venv/bin/python -m experiments.sweeps.run --sweep=digits")


@pytest.mark.parametrize(
  ("action", "parts"),
  [
    ("create", ["tpu-vm create pod --zone=here --accelerator-type=v4-32 --version=v2-alpha-tpuv5-lite", "--spot"]),
    ("setup", ["ssh pod --zone=here --worker=all", "https://example.org/it", ".tpu"]),
    ("run", ["ssh pod --zone=here --worker=all", "main.py", "--multihost", "--config=a.py"]),
    ("delete", ["tpu-vm delete pod --zone=here --quiet"]),
  ],
)
def test_a_tpu_pod_is_made_set_up_used_and_deleted(action, parts):
  more = ["--config=a.py"] if action == "run" else ["--type=v4-32", "--spot", "--repository=https://example.org/it"]
  text = dry("tpu_pod.sh", action, *TPU, *more).replace("\\", "").replace("[tpu]", ".tpu")
  assert text.startswith("gcloud compute tpus tpu-vm") and text.count("\n") == 1
  for part in parts:
    assert part in text


def test_a_jobset_is_one_that_kubernetes_takes():
  (manifest,) = yaml.safe_load_all(dry("k8s/submit.sh", *POD, "--nodes=4", "--count=8", "--config=a.py:it's"))
  assert manifest["apiVersion"].startswith("jobset.x-k8s.io/") and manifest["metadata"]["name"] == "mine"
  (workers,) = manifest["spec"]["replicatedJobs"]
  job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": workers["name"]}, **workers["template"]}
  kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
  assert job["spec"]["completions"] == job["spec"]["parallelism"] == 4
  (container,) = job["spec"]["template"]["spec"]["containers"]
  assert container["command"] == ["python", "main.py", "--multihost", "--config=a.py:it's"]
  assert container["resources"] == {"limits": {"cpu": "8"}} and "@" not in json.dumps(manifest)


def test_skypilot_s_task_names_its_flags():
  task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
  assert set(task) == {"name", "num_nodes", "workdir", "resources", "envs", "file_mounts", "setup", "run"}
  for flag in ("--config", "--workdir", "--coordinator", "--processes", "--process"):
    assert f"{flag}=" in task["run"]


@pytest.mark.parametrize(
  ("script", "arguments", "message"),
  [
    ("local_processes.sh", ["--processes=none"], "local_processes.sh: --processes: none is not a number from 1"),
    ("tpu_pod.sh", ["create", "--name=a"], "tpu_pod.sh: --zone: missing"),
    ("tpu_pod.sh", ["make", *TPU], "tpu_pod.sh: the first word is create, setup, run or delete, not 'make'"),
    ("k8s/submit.sh", ["--name=a"], "submit.sh: --image: missing"),
  ],
)
def test_what_is_missing_is_named(script, arguments, message):
  done = run(script, *arguments)
  assert (done.returncode, done.stderr.strip()) == (2, message)


def test_local_processes_end_together_with_a_status(process_environment, tmp_path):
  """Of a configuration that no process can use."""
  arguments = ["--processes=2", "--config=experiments/digits_loss.py:nope", f"--workdir={tmp_path}"]
  done = run("local_processes.sh", *arguments, env=process_environment | {"PYTHON": sys.executable})
  assert done.returncode == 2
  assert done.stderr.count("unknown variant 'nope'") >= 1
