"""The summary in words: every number it holds, readable, in its place."""

import pytest

from g_pt import words
from g_pt.report import page, table
from g_pt.report.base import Table


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    (0.05, "0.0500"), (2.3456, "2.35"), (-0.12345, "-0.123"), (84.444, "84.4"), (493.2, "493"), (999.7, "1,000"),
    (12345.6, "12,346"), (0, "0"), (float("nan"), "nan"), (0.00123456, "0.00123"), (None, "-"),
  ],
)  # fmt: skip
def test_numbers_have_three_significant_digits(value, expected):
  assert words.number(value) == expected


@pytest.mark.parametrize(
  ("seconds", "expected"),
  [
    (0.04, "0.0 s"), (59.9, "59.9 s"), (59.97, "1 min 00 s"), (312, "5 min 12 s"), (3599.9, "1 h 00 min"),
    (7500, "2 h 05 min"),
  ],
)  # fmt: skip
def test_durations_carry(seconds, expected):
  assert words.duration(seconds) == expected


@pytest.mark.parametrize(
  ("value", "expected"),
  [(760, "760"), (51957, "52K"), (1391234, "1.39M"), (2_100_000_000, "2.1B"), (17_200_000_000_000, "17.2T")],
)
def test_short_counts(value, expected):
  assert words.short_count(value) == expected


@pytest.mark.parametrize(
  ("value", "expected"),
  [(0, "0"), (0.62, "0.6"), (1.0, "1"), (3.44, "3.4"), (9.96, "10"), (30.4, "30"), (1249.6, "1,250")],
)
def test_interpolated_steps_keep_the_digits_that_tell(value, expected):
  assert words.steps(value) == expected


@pytest.mark.parametrize(
  ("ends", "expected"),
  [([25.8, 34.6], "26 to 35"), ([480.2, None], "480 or more"), ([None, None], "-"), ([0.0, 2.5], "0 to 2.5")],
)
def test_an_interval_says_which_end_lies_beyond_the_run(ends, expected):
  assert words.steps_interval(ends) == expected


@pytest.mark.parametrize(
  ("share", "expected"),
  [(0.125, "1/8 of the run"), (0.5, "1/2 of the run"), (1.0, "the whole run"), (None, "constant")],
)
def test_decay_is_a_share_of_the_run(share, expected):
  assert words.decay(share) == expected


def test_text_is_one_aligned_table(write_workdir, values, sections):
  assert page.summary_text(write_workdir(), values, sections).splitlines() == [
    "digits: test loss (nats)",
    "Prompt alignment (1 is perfect)    mean    90 % interval  median",
    "  training runs                   0.957   0.930 to 0.970   0.980",
    "  test runs                      -0.123  -0.500 to 0.250   0.120",
    "  test runs, held-out data       -0.200  -0.600 to 0.200   0.100",
    "One update, prompt 0.05           recorded data   held-out data",
    "  test networks                               7               7",
    "  start, mean                              2.35            2.33",
    "  achieved, mean                          0.400           0.450",
    "  achieved, lowest to highest    0.312 to 0.568  0.330 to 0.600",
    "  test error (%), mean                     12.3            13.6",
    "Optimizers                       learning rate           decay  best mean        steps to match  90 % interval  after 1 step",  # noqa: E501
    "  AdamW                                   0.01  1/4 of the run      0.123                    30       26 to 35          2.20",  # noqa: E501
    "  SGD                                      0.3        constant      0.877  not within 700 steps    480 or more          2.21",  # noqa: E501
    "Optimizers, held-out data        learning rate           decay  best mean        steps to match  90 % interval  after 1 step",  # noqa: E501
    "  AdamW                                   0.01  1/4 of the run      0.135                    29     24 or more          2.20",  # noqa: E501
    "  SGD                                      0.3        constant      0.900  not within 700 steps              -          2.21",  # noqa: E501
    "Corpus",
    "  runs                           4,321 (17 rejected)",
    "  for training                   4,260",
    "  for validation                 21",
    "  for test                       23",
    "  checkpoints of a run           11",
    "  end of a run, mean             0.0988",
    "  made in                        1 min 01 s",
    "G.pt",
    "  parameters                     1,234,567",
    "  trained in                     1 h 02 min",
    "Time of evaluations",
    "  alignment                      8.4 s",
    "  one update                     8.4 s",
    "  corpus                         8.4 s",
    "  model                          8.4 s",
  ]


def test_a_long_title_makes_room_for_its_columns():
  long = Table("A title longer than every row", ("", "first", "second"), (("row", "1", "2"),))
  first, second = table.text("digits", (long,)).splitlines()[1:]
  assert first == "A title longer than every row  first  second"
  assert len(second) == len(first) and second.endswith("1       2")


def test_nothing_but_a_title_is_still_text():
  assert table.text("digits", ()) == "digits"


def test_the_terminal_needs_no_arrays(write_workdir, values, sections):
  directory = write_workdir()
  text = page.summary_text(directory, values, sections)
  for file in directory.glob("evaluation/*.npz"):
    file.unlink()
  assert page.summary_text(directory, values, sections) == text


def test_an_evaluation_without_rows_has_no_table(write_workdir, values, sections, summaries):
  summaries["one_update"]["optimizers"] = {}
  text = page.summary_text(write_workdir(), values, sections)
  assert "Optimizers" not in text and "Too near" not in text and "One update" in text


def test_known_names_come_in_their_order_and_others_last():
  assert words.known(["new", "soup", "initial"], words.STARTS) == {
    "initial": "initial networks",
    "soup": "soups of run ends",
    "new": "new",
  }
  assert list(words.known(["new", "soup", "initial"], words.STARTS)) == ["initial", "soup", "new"]
  assert list(words.kinds(["noise 0.3", "samples"]).values()) == ["samples of G.pt", "training ends, noise 0.3"]


@pytest.mark.parametrize(
  ("value", "expected"), [(None, "-"), (0.0, "0 %"), (0.03125, "3.12 %"), (0.38, "38 %"), (1, "100 %")]
)
def test_a_share_is_in_percent(value, expected):
  assert words.share(value) == expected


@pytest.mark.parametrize(
  ("names", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_one_says_them(names, expected):
  assert words.listed(names) == expected
