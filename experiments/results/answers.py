"""What the experiments with a trained model found, as the README's second table: a row a question, a column a G.pt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from experiments.results.collect import FOLDER
from g_pt import words, workdir

Summary = dict[str, Any]
COLUMNS = {
  "digits_loss": "digits, loss",
  "mnist_loss": "MNIST, loss",
  "mnist_error": "MNIST, error (%)",
  "cartpole_return": "Cartpole, return",
  "cifar10_loss": "CIFAR-10, loss",
}
_NEAR_INITS = ("half", "double", "xavier_normal", "xavier_uniform", "orthogonal", "kaiming_fan_in")
_STARTS = ("initial", "update", "retrieval", "soup")


class Question(NamedTuple):
  """A row: the experiment that answers it, and how one summary of that experiment is told."""

  experiment: str
  text: str
  told: Callable[[Summary], str]
  published: str = "-"
  variant: str = ""  # of the column's experiment; "": the default


def numbers(values: Sequence[float | None]) -> str:
  return "; ".join("diverges" if value is None else words.number(value) for value in values)


def _without_model(summary: Summary) -> str:
  return numbers([summary[kind]["final"]["mean"] for kind in ("retrieval", "interpolation")])


def _own_init(summary: Summary) -> str:
  return numbers(summary["inits"]["own"]["recorded"]["after"])


def _near_inits(summary: Summary) -> str:
  """The range over inits of their means, after each number of updates."""
  after = zip(*(summary["inits"][init]["recorded"]["after"] for init in _NEAR_INITS if init in summary["inits"]))
  return "; ".join(
    "diverges" if None in means else f"{words.number(min(means))} to {words.number(max(means))}" for means in after
  )


def _far_init(summary: Summary) -> str:
  return numbers(summary["inits"]["kaiming_fan_out"]["recorded"]["after"])


def _further_steps(summary: Summary) -> str:
  """Steps from each start, on the recorded data."""
  steps = [summary["starts"][start]["recorded"]["steps"] for start in _STARTS]
  counts = ["never" if count is None else words.number(count) for count in steps]
  return f"{words.optimizer(summary['optimizer'])}: {'; '.join(counts)}"


def _landscape(summary: Summary) -> str:
  gained = abs(summary["mean"] - summary["start"])
  return f"{summary['basins']} of {summary['compared']}; {words.share(summary['barrier'] / gained)}"


def _ensemble(summary: Summary) -> str:
  return numbers([summary["ensemble"]["final"][what] for what in ("single", "ensemble")])


def _walk(summary: Summary) -> str:
  return f"{words.number(summary['lowest'])} to {words.number(summary['highest'])}"


def _ratio(summary: Summary) -> str:
  return words.number(summary["ratio"])


def _novel(summary: Summary) -> str:
  """At most a quarter worse than the median training end, and farther than one usual distance."""
  (shares,) = [row["shares"] for row in summary["novel_performant"] if (row["worse"], row["farther"]) == (0.25, 1)]
  return "; ".join(words.share(shares[kind]) for kind in ("samples", "unseen", "interpolation", "soup"))


def _similarity(summary: Summary) -> str:
  values = [summary["sets"][kind]["similarity"] for kind in ("samples", "training")]
  return "-" if None in values else numbers(values)


def _few(value: Callable[[Summary], float]) -> Callable[[Summary], str]:
  """A number of each row of the temperature that the task uses, at the numbers of evaluations that all tasks have."""

  def told(summary: Summary) -> str:
    chosen = summary["chosen"]["temperature"]
    rows = {row["evaluations"]: row for row in summary["rows"] if row["temperature"] == chosen}
    return numbers([value(rows[count]) for count in (1, 2, 4, 8, 16, 50) if count in rows])

  return told


def _extrapolation(summary: Summary) -> str:
  recorded = summary["recorded"]
  return f"{words.number(summary['edge'])}; {numbers([recorded['at_edge'], recorded['best']])}"


QUESTIONS = (
  Question(
    "alignment",
    "No model: alignment of the nearest checkpoint; of a point between the start and its best end (held-out data)",
    _without_model,
  ),
  Question("recursion", "Again and again: after 1; 3; 10 updates of the task's own init", _own_init),
  Question(
    "recursion",
    "Inits that were never seen: after 1; 3; 10 updates of Xavier, orthogonal, Kaiming fan-in, own times 0.5 and 2",
    _near_inits,
    "MNIST error 12 to 40; 6 to 9; -",
  ),
  Question("recursion", "The same of Kaiming fan-out", _far_init, "MNIST error 60 to 80; -; 7 to 13"),
  Question(
    "further_steps",
    "Steps of the best optimizer to the end of a run: alone; from one update; from a retrieved checkpoint; from a soup",
    _further_steps,
  ),
  Question(
    "landscape",
    "Samples of one start: basins that they lie in; barrier between two, of what an update gains",
    _landscape,
  ),
  Question("landscape", "One sample of that start; 16 as an ensemble (held-out data)", _ensemble),
  Question("walk", "A walk through the noise: lowest to highest", _walk),
  Question(
    "novelty",
    "Distance from the nearest training end, of samples by that of training ends",
    _ratio,
    "MNIST 0.62",
  ),
  Question(
    "novelty",
    "Novel and performant (1 ×, 25 % worse): samples; ends of unseen runs; between two ends; soups",
    _novel,
  ),
  Question("novelty", "Similarity of errors with the nearest training end: samples; training ends", _similarity),
  Question(
    "few_evaluations",
    "1; 2; 4; 8; 16; 50 evaluations of the model: alignment",
    _few(lambda row: row["alignment"]["recorded"]),
  ),
  Question("few_evaluations", "The same: one update", _few(lambda row: row["one_update"]["recorded"])),
  Question(
    "extrapolation",
    "Prompts beyond the best that was learned: that; achieved when asked for it; best achieved beyond",
    _extrapolation,
  ),
  Question(
    "extrapolation",
    "The same of a G.pt of worse checkpoints alone (`:truncated`); where the ends of its runs are",
    lambda summary: f"{_extrapolation(summary)}; {numbers([summary['run_ends']])}",
    variant="truncated",
  ),
)


def _summary(name: str) -> Summary:
  """Of the first workdir of an experiment; {}: it was not measured."""
  content = workdir.read_json(FOLDER / f"{name}.json")
  return {} if content is None else content["summaries"][0]


def table() -> str:
  """Markdown of all questions that are answered; without any, nothing."""
  lines = []
  for question in QUESTIONS:
    of = [_summary(f"{name}_{question.variant}".rstrip("_")).get(question.experiment) for name in COLUMNS]
    cells = ["-" if summary is None else question.told(summary) for summary in of]
    if set(cells) != {"-"}:
      lines.append(f"| {' | '.join([question.text, *cells, question.published])} |")
  head = ["what", *COLUMNS.values(), "published"]
  return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])
