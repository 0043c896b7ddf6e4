"""The table of experiments with a trained G.pt: what measures, and what draws it. Each name is that of their files."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

from g_pt.evaluation import alignment, corpus, model, one_update
from g_pt.evaluation.base import Evaluation
from g_pt.report import sections


class Plugin(NamedTuple):
  evaluation: Evaluation
  section: ModuleType


# In the order of the page.
PLUGINS: dict[str, Plugin] = {
  "alignment": Plugin(alignment, sections.alignment),
  "one_update": Plugin(one_update, sections.one_update),
  "corpus": Plugin(corpus, sections.corpus),
  "model": Plugin(model, sections.model),
}
