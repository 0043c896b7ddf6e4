"""The built wheel alone does what the README begins with."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

ROOT = Path(__file__).parent.parent
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.cfg")


def run(*command, where, **variables):
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
  return subprocess.run(command, cwd=where, env=environment, check=True, capture_output=True, text=True)


def test_the_first_lines_of_the_readme_train_a_network(tmp_path):
  """Outside the checkout, where there is neither a workdir nor a data set; libraries are those of this environment."""
  source, installed = tmp_path / "source", tmp_path / "installed"
  shutil.copytree(ROOT / "g_pt", source / "g_pt", ignore=shutil.ignore_patterns("__pycache__"))
  for name in SOURCES:
    shutil.copy(ROOT / name, source)
  pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
  run(*pip, "wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={tmp_path}", ".", where=source)
  (wheel,) = tmp_path.glob("*.whl")
  run(*pip, "install", "--no-deps", f"--target={installed}", str(wheel), where=tmp_path)
  first = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
  lines = f"import g_pt; assert g_pt.__file__.startswith({str(installed)!r})\n{first[1]}"
  found = run(sys.executable, "-c", lines, where=tmp_path, PYTHONPATH=str(installed), JAX_PLATFORMS="cpu")
  assert not found.stderr
  before, after = map(float, re.fullmatch(r"test loss (\S+) -> (\S+)\n", found.stdout).groups())
  assert before > 2 and after < 0.2
