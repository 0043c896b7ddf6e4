"""What one process compiles, the next one of the same user finds; nothing stops where that cannot be."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from g_pt import compilation_cache

ROOT = Path(__file__).parent.parent
PROGRAM = """
from g_pt.compilation_cache import keep_compiled_programs

folder = keep_compiled_programs()
import jax
import jax.numpy as jnp

found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name.endswith("/cache_hits")))
value = jax.jit(lambda x: jnp.tanh(x @ x).sum(axis=0))(jnp.linspace(-1.0, 1.0, 77 * 77).reshape(77, 77))
print(folder, sum(found), bytes(value).hex())
"""


def start(cache, **environment):
  """Compiles and runs a program in a process of its own: (folder, programs found there, bytes of the result)."""
  kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
  kept |= {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
  kept |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} | environment
  done = subprocess.run([sys.executable, "-c", PROGRAM], env=kept, check=True, capture_output=True, text=True)
  assert not done.stderr
  folder, found, result = done.stdout.split()
  return Path(folder), int(found), result


def test_a_second_start_finds_what_the_first_compiled_and_computes_the_same(tmp_path):
  folder, found, result = start(tmp_path)
  assert found == 0 and folder.is_relative_to(tmp_path)
  again, found, same = start(tmp_path)
  assert (again, same) == (folder, result) and found > 0
  assert start(tmp_path, JAX_ENABLE_COMPILATION_CACHE="0") == (folder, 0, result)

  for file in folder.iterdir():  # as a process that is killed while it writes leaves them
    file.write_bytes(file.read_bytes()[:100])
  assert start(tmp_path) == (folder, 0, result)


@pytest.fixture
def environment(monkeypatch, tmp_path):
  """This process's environment, for the length of a test."""
  environment = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
  monkeypatch.setattr(os, "environ", environment)
  return environment


def test_the_folder_is_the_users_alone(environment, tmp_path):
  folder = compilation_cache.keep_compiled_programs()
  assert folder.is_relative_to(tmp_path / "cache" / "g_pt" / "compiled")
  assert environment["JAX_COMPILATION_CACHE_DIR"] == str(folder)
  assert folder.stat().st_mode & 0o077 == 0  # whoever can write there can make us run their code


def test_what_the_user_chose_stays(environment, tmp_path):
  chosen = {"JAX_COMPILATION_CACHE_DIR": "elsewhere"}
  environment |= chosen
  assert compilation_cache.keep_compiled_programs() is None
  assert not (tmp_path / "cache").exists() and chosen.items() <= environment.items()


def test_the_users_threshold_stays(environment):
  environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "7"
  compilation_cache.keep_compiled_programs()
  assert environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "7"


@pytest.mark.parametrize("blocked", ["cache", "cache/g_pt/compiled"])
def test_where_no_folder_can_be_made_nothing_is_kept(environment, tmp_path, blocked):
  (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / blocked).write_text("a file, not a folder")
  before = dict(environment)
  assert compilation_cache.keep_compiled_programs() is None and environment == before


def test_where_nothing_can_be_written_nothing_is_kept(environment, monkeypatch):
  folder = compilation_cache.keep_compiled_programs()
  del environment["JAX_COMPILATION_CACHE_DIR"]
  folder.chmod(0o500)
  monkeypatch.setattr(os, "access", lambda path, mode: bool(path.stat().st_mode & 0o222))  # root may write anywhere
  assert compilation_cache.keep_compiled_programs() is None and "JAX_COMPILATION_CACHE_DIR" not in environment


def test_a_relative_folder_of_the_environment_does_not_count(environment, tmp_path):
  environment["XDG_CACHE_HOME"] = "here"
  assert compilation_cache.keep_compiled_programs().is_relative_to(tmp_path / "home" / ".cache")


def test_another_processor_has_another_folder(monkeypatch, tmp_path):
  fields = {"vendor_id": "One", "cpu family": "25", "model": "1", "flags": "sse avx2", "cpu MHz": "2000"}
  source = tmp_path / "cpuinfo"
  monkeypatch.setattr(compilation_cache, "_CPUINFO", source)

  def name(**changed):
    described = "\n".join(f"{field}\t: {value}" for field, value in (fields | changed).items())
    source.write_text(f"processor\t: 0\n{described}\n\nprocessor\t: 1\n{described}\n")
    return compilation_cache.processor()

  assert name() == name(**{"cpu MHz": "3000"})
  others = {name(), name(flags="sse avx2 avx512f"), name(model="2"), name(vendor_id="Two")}
  assert len(others) == 4
