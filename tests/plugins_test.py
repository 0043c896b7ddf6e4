"""An experiment with a trained model is one file that measures, one that draws, and a line of the table."""

import dataclasses
import json
import shutil
import types

import numpy as np

from g_pt import config, plugins, stages, workdir
from g_pt.evaluation.base import Result
from g_pt.fields import Settings as Base
from g_pt.fields import limited
from g_pt.report.base import Section, Table


@dataclasses.dataclass(frozen=True)
class Settings(Base):
  networks: int = limited(3, least=1)


def run(context, settings):
  theta = context.starts("test", settings.networks).theta
  return Result({"largest": float(np.abs(theta).max())}, {"theta": np.asarray(theta)})


def test_a_toy_evaluation_is_configured_made_drawn_and_summed_up(
  smoke_workdir, smoke_values, tmp_path, monkeypatch, capsys
):
  evaluation = types.SimpleNamespace(Settings=Settings, USES=(), run=run)
  section = types.SimpleNamespace(keys=lambda found, view: ())
  section.section = lambda found, view: Section("A toy of a section", "It has a caption.", {})
  section.tables = lambda found, view: (Table("Toys", (), (("largest weight", f"{found.summary['largest']:.3f}"),)),)
  monkeypatch.setitem(plugins.PLUGINS, "toy", plugins.Plugin(evaluation, section))

  values = config.default("digits", "test_loss").to_dict()
  assert values["evaluate"]["toy"] == {"networks": 3} and values["evaluate"]["experiments"][-1] == "toy"
  values |= smoke_values | {"evaluate": values["evaluate"]}
  values["evaluate"] |= {"experiments": ("toy",), "toy": {"networks": 2}}
  directory = shutil.copytree(smoke_workdir, tmp_path / "workdir")
  stages.run(config.parse(values), directory, "evaluate")
  stages.run(config.parse(values), directory, "report")

  kept = json.loads((directory / workdir.EVALUATION / "toy.json").read_text())
  assert kept["settings"]["evaluate"] == {"toy": {"networks": 2}}
  assert np.load(directory / workdir.EVALUATION / "toy.npz")["theta"].shape[0] == 2
  assert workdir.read_json(directory / workdir.SUMMARY)["toy"] == kept["summary"]
  assert "A toy of a section" in (directory / workdir.REPORT).read_text()
  assert f"largest weight  {kept['summary']['largest']:.3f}" in capsys.readouterr().out
