"""The notebooks run, cell by cell, on small trained workdirs."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, smoke_workdir, family_workdir, monkeypatch):
  monkeypatch.setenv("GPT_REPOSITORY", str(ROOT))
  monkeypatch.setenv("GPT_WORKDIR", str(smoke_workdir))
  monkeypatch.setenv("GPT_UNSEEN_WORKDIR", str(family_workdir))
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  notebook = nbformat.read(path, as_version=4)
  nbclient.NotebookClient(
    notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": os.fspath(path.parent)}}
  ).execute()
  printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
  assert "asked for" in printed
