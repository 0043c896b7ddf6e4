"""The notebooks run, cell by cell, on small trained workdirs."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
# What each prints, and how many figures it shows.
SHOWN = {"corpus": "64 runs of 16 checkpoints"}
SHOWN |= dict.fromkeys(("new_task", "sample", "unseen_data"), "asked for")
FIGURES = {"corpus": 3, "sample": 3}
PLOTLY = "application/vnd.plotly.v1+json"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, smoke_workdir, family_workdir, tmp_path, monkeypatch):
  monkeypatch.setenv("GPT_REPOSITORY", str(ROOT))
  monkeypatch.setenv("GPT_WORKDIR", str(smoke_workdir))
  monkeypatch.setenv("GPT_UNSEEN_WORKDIR", str(family_workdir))
  monkeypatch.setenv("GPT_NEW_WORKDIR", str(tmp_path))
  monkeypatch.setenv("GPT_RUNS", "96")
  monkeypatch.setenv("GPT_STEPS", "10")
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  notebook = nbformat.read(path, as_version=4)
  nbclient.NotebookClient(
    notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": os.fspath(path.parent)}}
  ).execute()
  outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
  assert SHOWN[path.stem] in "".join(output.get("text", "") for output in outputs)
  figures = [output for output in outputs if PLOTLY in output.get("data", {})]
  assert len(figures) == FIGURES.get(path.stem, 0) and all(figure["data"][PLOTLY]["data"] for figure in figures)
