"""Progress is a bar where somebody watches, and few plain lines where nobody does."""

import sys

import pytest

from g_pt import progress


class Clock:
  """Seconds that pass when the test says so."""

  def __init__(self):
    self.now = 1000.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def written(capsys):
  """The lines that were written to standard error: whole ones, and nothing that moves about in a line."""

  def written():
    text = capsys.readouterr().err
    assert text.endswith("\n") and "\r" not in text
    return text.splitlines()

  return written


@pytest.fixture
def log(clock, written):
  """The lines of a loop of `total` steps that take `seconds` each; `initial` of them are done before."""

  def log(total, seconds, initial=0, postfix=None):
    with progress.bar(total, initial=initial, desc="train", unit="step", clock=clock) as shown:
      for _ in range(total - initial):
        clock.now += seconds
        if postfix:
          shown.set_postfix(postfix)
        shown.update()
    return written()

  return log


def test_a_line_every_half_minute_and_one_at_the_end(log):
  assert log(total=70, seconds=1.0) == [
    "train: 30/70, 1.00step/s, 00:40 left",
    "train: 60/70, 1.00step/s, 00:10 left",
    "train: 70/70, 1.00step/s, 00:00 left",
  ]


def test_many_quick_steps_are_one_line(log):
  assert log(total=9973, seconds=0.001) == ["train: 9973/9973, 1000.00step/s, 00:00 left"]


def test_what_was_there_before_does_not_count_as_speed(log):
  assert log(total=70, seconds=2.0, initial=50)[0] == "train: 65/70, 2.00s/step, 00:10 left"


def test_nothing_left_to_do_is_said(log):
  (line,) = log(total=7, seconds=1.0, initial=7)
  assert line.startswith("train: 7/7, ")


def test_the_postfix_is_on_the_lines(log):
  lines = log(total=40, seconds=1.0, postfix={"loss": "0.3", "prompt_alignment": "0.9"})
  assert [line.endswith(" left, loss=0.3, prompt_alignment=0.9") for line in lines] == [True, True]


def test_a_line_tells_the_speed_of_the_last_minutes_and_the_last_one_of_all(clock, written):
  with progress.bar(1000, desc="corpus", unit="run", clock=clock) as shown:
    for runs, seconds in [(3, 30.0)] * 4 + [(60, 30.0)] * 12 + [(10, 20.0)]:
      clock.now += seconds
      shown.update(runs)
  speeds = [line.split(", ")[1] for line in written()]
  assert speeds[0] == "10.00s/run" and speeds[-2] == "2.00run/s" and speeds[-1] == "1.48run/s"


def test_bursts_are_not_taken_for_the_speed(clock, written):
  """Of steps that are given to a device, most at once, and then waited for."""
  with progress.bar(1000, desc="train", unit="step", clock=clock) as shown:
    for _ in range(10):
      for steps, seconds in ((48, 30.0), (2, 70.0)):
        clock.now += seconds
        shown.update(steps)
  speeds = [line.split(", ")[1] for line in written()]
  assert all(1.5 < float(speed.removesuffix("s/step")) < 2.5 for speed in speeds[4:])  # 100 seconds are 50 steps


def test_it_says_where_an_error_came(clock, written):
  with pytest.raises(ValueError), progress.bar(5, desc="corpus", unit="run", clock=clock) as shown:
    clock.now += 4.0
    shown.update(2)
    raise ValueError
  assert written() == ["corpus: 2/5, 2.00s/run, 00:06 left"]


def test_a_terminal_has_a_bar(capsys, monkeypatch):
  monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
  with progress.bar(3, desc="train", unit="step") as shown:
    shown.set_postfix({"loss": "0.3"})
    shown.update(3)
  text = capsys.readouterr().err
  assert "\r" in text and "100%|" in text and "loss=0.3" in text


def test_track_gives_every_item_and_counts_it(clock, written):
  given = []
  for item in progress.track("abcde", desc="inspect", unit="folder", clock=clock):
    clock.now += 20.0
    given.append(item)
  assert given == list("abcde")
  assert [line.split(",")[0] for line in written()] == ["inspect: 2/5", "inspect: 4/5", "inspect: 5/5"]


def test_track_left_early_says_how_far_it_came(clock, written):
  items = progress.track(range(5), desc="inspect", unit="folder", clock=clock)
  assert [next(items), next(items)] == [0, 1]
  items.close()
  assert [line.split(",")[0] for line in written()] == ["inspect: 1/5"]
