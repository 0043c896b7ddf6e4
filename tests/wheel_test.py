"""The built wheel alone does what the README begins with."""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg")
NOTEBOOKS = sorted((ROOT / "experiments" / "notebooks").glob("*.ipynb"))
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def run(*command, where, **variables):
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
  return subprocess.run(command, cwd=where, env=environment, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """Its file, built from a copy: a build leaves folders."""
  source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
  shutil.copytree(ROOT / "g_pt", source / "g_pt", ignore=shutil.ignore_patterns("__pycache__"))
  for name in SOURCES:
    shutil.copy(ROOT / name, source)
  run(*PIP, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={out}", ".", where=source)
  (file,) = out.iterdir()
  return file


def test_the_first_lines_of_the_readme_train_a_network(wheel, tmp_path):
  """Outside the checkout, where there is neither a workdir nor a data set; libraries are those of this environment."""
  installed = tmp_path / "installed"
  run(*PIP, "install", "--no-deps", f"--target={installed}", str(wheel), where=tmp_path)
  first = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
  lines = f"import g_pt; assert g_pt.__file__.startswith({str(installed)!r})\n{first[1]}"
  found = run(sys.executable, "-c", lines, where=tmp_path, PYTHONPATH=str(installed), JAX_PLATFORMS="cpu")
  assert not found.stderr
  before, after = map(float, re.fullmatch(r"test loss (\S+) -> (\S+)\n", found.stdout).groups())
  assert before > 2 and after < 0.2


def test_notebooks_install_it_where_their_first_cell_finds_it(wheel, tmp_path):
  """As on Colab, which a module of that name is a sign of; pip says what it would do and changes nothing here."""
  (cell,) = {"".join(json.loads(file.read_text())["cells"][1]["source"]) for file in NOTEBOOKS}
  (tmp_path / "google" / "colab").mkdir(parents=True)
  lines = f"import google.colab\n{cell}"
  variables = {"PYTHONPATH": str(tmp_path), "PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}
  with pytest.raises(subprocess.CalledProcessError) as refused:
    run(sys.executable, "-c", lines, where=tmp_path, **variables)
  assert re.match(r"no g_pt_jax-\*\.whl here: `pip wheel", refused.value.stderr)
  shutil.copy(wheel, tmp_path)
  run(sys.executable, "-c", lines, where=tmp_path, **variables)
