"""The table of experiments with a trained G.pt: what measures, and what draws it. Each name is that of their files."""

from __future__ import annotations

from typing import NamedTuple

from g_pt.evaluation import alignment, corpus, model, one_update
from g_pt.evaluation.base import Evaluation
from g_pt.report.base import SectionPlugin
from g_pt.report.sections import alignment as alignment_section
from g_pt.report.sections import corpus as corpus_section
from g_pt.report.sections import model as model_section
from g_pt.report.sections import one_update as one_update_section


class Plugin(NamedTuple):
  evaluation: Evaluation
  section: SectionPlugin


# In the order of the page.
PLUGINS: dict[str, Plugin] = {
  "alignment": Plugin(alignment, alignment_section),
  "one_update": Plugin(one_update, one_update_section),
  "corpus": Plugin(corpus, corpus_section),
  "model": Plugin(model, model_section),
}
