"""The summary in words: every number it holds, readable, in its place."""

import pytest

from g_pt.report import table, words


@pytest.mark.parametrize(
  ("value", "expected"),
  [
    (0.05, "0.0500"), (2.3456, "2.35"), (-0.12345, "-0.123"), (84.444, "84.4"), (493.2, "493"), (999.7, "1,000"),
    (12345.6, "12,346"), (0, "0"), (float("nan"), "nan"), (0.00123456, "0.00123"),
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
  ("value", "expected"), [(760, "760"), (51957, "52K"), (1391234, "1.39M"), (2_100_000_000, "2.1B")]
)
def test_short_counts(value, expected):
  assert words.short_count(value) == expected


def test_text_is_one_aligned_table(summary):
  assert table.text(summary, steps=700).splitlines() == [
    "digits: test loss (nats)",
    "Prompt alignment (1 is perfect)",
    "  training runs                0.957",
    "  unseen runs                  -0.123",
    "One update of 7 unseen networks, prompt 0.05",
    "  start, mean                  2.35",
    "  achieved, mean               0.400",
    "  achieved, lowest to highest  0.312 to 0.568",
    "  test error (%), mean         12.3",
    "Optimizers                     learning rate  final mean        steps to match",
    "  AdamW                                 0.01       0.123                    30",
    "  SGD                                    0.3       0.877  not within 700 steps",
    "Corpus and model",
    "  training runs                4,321 (23 held out, 17 rejected)",
    "  checkpoints of a run         11",
    "  end of a run, mean           0.0988",
    "  parameters of G.pt           1,234,567",
    "Time",
    "  corpus                       1 min 01 s",
    "  train                        1 h 02 min",
    "  evaluate                     48.4 s",
  ]


def test_an_unknown_length_of_the_runs_is_not_made_up(summary):
  assert "not within its run" in table.text(summary)


def test_what_is_not_there_is_left_out(summary):
  del summary["seconds"]
  for name in ("learning_rate", "optimizer_final_mean", "steps_to_match"):
    summary["one_update"][name] = {}
  text = table.text(summary)
  assert "Optimizers" not in text and "Time" not in text and "Corpus and model" in text
