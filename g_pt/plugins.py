"""The table of experiments with a trained G.pt: what measures, and what draws it. Each name is that of their files."""

from __future__ import annotations

from typing import Any, NamedTuple

from g_pt.evaluation import (
  alignment,
  class_counts,
  corpus,
  course,
  data_sets,
  extrapolation,
  few_evaluations,
  few_examples,
  further_steps,
  landscape,
  model,
  novelty,
  one_update,
  recursion,
  walk,
)
from g_pt.report.base import SectionPlugin
from g_pt.report.sections import alignment as alignment_section
from g_pt.report.sections import class_counts as class_counts_section
from g_pt.report.sections import corpus as corpus_section
from g_pt.report.sections import course as course_section
from g_pt.report.sections import data_sets as data_sets_section
from g_pt.report.sections import extrapolation as extrapolation_section
from g_pt.report.sections import few_evaluations as few_evaluations_section
from g_pt.report.sections import few_examples as few_examples_section
from g_pt.report.sections import further_steps as further_steps_section
from g_pt.report.sections import landscape as landscape_section
from g_pt.report.sections import model as model_section
from g_pt.report.sections import novelty as novelty_section
from g_pt.report.sections import one_update as one_update_section
from g_pt.report.sections import recursion as recursion_section
from g_pt.report.sections import walk as walk_section
from g_pt.tasks.base import Task


class Plugin(NamedTuple):
  evaluation: Any  # a module, `g_pt.evaluation.base.Evaluation`
  section: SectionPlugin
  by_default: bool = True  # whether an experiment makes it unless told otherwise; the others take minutes
  sets: tuple[str, ...] = ("one",)  # whether it is for tasks of `one` data set, or of `many`

  def suits(self, task: Task) -> bool:
    return ("one" if task.draw is None else "many") in self.sets


# In the order of the page.
PLUGINS: dict[str, Plugin] = {
  "alignment": Plugin(alignment, alignment_section),
  "course": Plugin(course, course_section),
  "one_update": Plugin(one_update, one_update_section),
  "further_steps": Plugin(further_steps, further_steps_section, by_default=False),
  "recursion": Plugin(recursion, recursion_section),
  "landscape": Plugin(landscape, landscape_section, by_default=False),
  "walk": Plugin(walk, walk_section, by_default=False),
  "novelty": Plugin(novelty, novelty_section, by_default=False),
  "few_evaluations": Plugin(few_evaluations, few_evaluations_section, by_default=False),
  "extrapolation": Plugin(extrapolation, extrapolation_section, by_default=False),
  "data_sets": Plugin(data_sets, data_sets_section, sets=("many",)),
  "few_examples": Plugin(few_examples, few_examples_section, sets=("many",)),
  "class_counts": Plugin(class_counts, class_counts_section, sets=("many",)),
  "corpus": Plugin(corpus, corpus_section, sets=("one", "many")),
  "model": Plugin(model, model_section, sets=("one", "many")),
}
