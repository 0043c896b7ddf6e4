"""The log: what is past the step one resumes from is cut off, a kill loses nothing, numbers are means."""

import json

import jax.numpy as jnp
import pytest

from g_pt import workdir
from g_pt.train.log import DivergenceError, Log, Pending


class Killed(Exception):
  """Stands for the end of the process."""


def lines(directory):
  return [json.loads(line) for line in (directory / workdir.METRICS).read_text().splitlines()]


@pytest.fixture
def directory(tmp_path):
  """A log of four lines."""
  log = Log(tmp_path, 0)
  for step in (3, 6, 9, 11):
    log.write(step, {"loss": 1.0 / step})
  log.close()
  return tmp_path


def test_lines_come_back_with_their_steps(directory):
  assert lines(directory) == [{"step": step, "loss": 1.0 / step} for step in (3, 6, 9, 11)]
  assert list((directory / "tensorboard").glob("events*"))


@pytest.mark.parametrize(("step", "kept"), [(0, []), (5, [3]), (6, [3, 6]), (11, [3, 6, 9, 11])])
def test_what_is_past_the_step_one_resumes_from_is_cut_off(directory, step, kept):
  Log(directory, step).close()
  assert [line["step"] for line in lines(directory)] == kept


def test_a_line_cut_short_by_a_kill_is_dropped(directory):
  with (directory / workdir.METRICS).open("a") as file:
    file.write('{"step": 12, "lo')
  log = Log(directory, 11)
  log.write(12, {"loss": 0.5})
  log.close()
  assert [line["step"] for line in lines(directory)] == [3, 6, 9, 11, 12]


def test_a_kill_while_the_log_is_cut_loses_none_of_it(directory, monkeypatch):
  before = lines(directory)

  def killed(*arguments):
    raise Killed

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr("g_pt.workdir.os.replace", killed)
    Log(directory, 6)
  assert lines(directory) == before


def test_pending_numbers_are_means_since_the_last_call():
  pending = Pending()
  assert pending.collect() == {}
  for step, loss in ((1, 2.0), (2, 4.0)):
    pending.add(step, {"loss": jnp.float32(loss), "gradient_norm": jnp.float32(step)})
  assert pending.collect() == {"loss": 3.0, "gradient_norm": 1.5}
  assert pending.collect() == {}
  pending.add(3, {"loss": jnp.float32(7.0)})
  assert pending.collect() == {"loss": 7.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_number_that_is_not_finite_is_named_with_its_step(value):
  pending = Pending()
  for step, norm in ((4, 1.0), (5, value), (6, value)):
    pending.add(step, {"loss": jnp.float32(0.5), "gradient_norm": jnp.float32(norm)})
  with pytest.raises(DivergenceError, match=f"^training diverged: the gradient norm of step 5 is {value}$"):
    pending.collect()
