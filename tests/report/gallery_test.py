"""Several workdirs beside each other: a row each, and what they differ in."""

import html
import json
import os
import re
import shutil

import numpy as np
import pytest

from g_pt import workdir
from g_pt.errors import UserError
from g_pt.report import gallery, page


@pytest.fixture
def beside(tmp_path_factory):
  """A folder for several workdirs and their page."""
  return tmp_path_factory.mktemp("gallery")


@pytest.fixture
def runs(write_workdir, values, sections, summaries, beside):
  """Two evaluated workdirs: the second wider, with another alignment, without optimizers, and without a report."""
  summaries["novelty"] = {"ratio": 0.9876}
  made = write_workdir()
  page.write(made, values, sections)
  settings = [{"model": {"width": 64}, "corpus": {"path": "here"}}]
  settings.append({"model": {"width": 96, "depth": 3}, "corpus": {"path": "there"}})
  first, second = (shutil.copytree(made, beside / "runs" / name) for name in ("first", "second"))
  for directory, own in zip((first, second), settings):
    workdir.write_json(directory / workdir.CONFIG, values | own)
  (second / workdir.REPORT).unlink()
  (second / "evaluation/novelty.json").unlink()
  change(second, "alignment", lambda summary: summary["test"]["recorded"].update(mean=0.777))
  change(second, "one_update", lambda summary: summary.update(optimizers={"recorded": {}, "final": {}}))
  return first, second


def change(directory, name, how):
  file = directory / "evaluation" / f"{name}.json"
  content = json.loads(file.read_text())
  how(content["summary"])
  workdir.write_json(file, content)


def read_all(runs):
  return [gallery.read(directory, directory.name) for directory in runs]


def test_a_row_has_what_its_evaluations_hold(runs):
  first, second = gallery.comparison(read_all(runs)).rows
  told = ("digits", "test loss (nats)", "-0.123", "-0.200", "2.35 → 0.400", "0.450")
  assert first == ("first", *told, "30 (AdamW)", "0.988", "1.23M", "1 h 02 min")
  assert second[3] == "0.777" and second[7:9] == ("-", "-")


def test_no_optimizer_as_good_is_told(runs):
  def never(summary):
    summary["optimizers"]["recorded"]["adamw"]["steps"] = None

  change(runs[0], "one_update", never)
  assert gallery.comparison(read_all(runs)).rows[0][7] == "not within 700 steps"


def test_only_the_settings_that_differ_are_shown(runs):
  table = gallery.differing(read_all(runs))
  assert table.header == ("", "first", "second")
  assert table.rows == (("model.depth", "-", "3"), ("model.width", "64", "96"))
  assert gallery.differing(read_all([runs[0], runs[0]])).rows == ()


def test_the_page_leads_to_the_reports_there_are(runs, beside, monkeypatch):
  monkeypatch.chdir(beside)
  out = beside / "compared/gallery.html"
  gallery.main(["runs/first", "runs/second/", "runs/first", f"--out={out}"])
  text = out.read_text()
  (address,) = set(re.findall('<th scope="row"><a href="(.*?)">', text))
  assert address == "../runs/first/report/index.html" and os.path.exists(out.parent / address)
  assert f'<a href="{address}">runs/first</a>' in text and ">runs/second</th>" in text
  assert text.count("* plotly.js v") == 1 and "<h1>G.pt: 2 runs compared</h1>" in text
  assert "python -m g_pt.report.gallery runs/first runs/second --out=" in html.unescape(text)


def test_means_of_all_are_in_one_figure(runs, beside, arrays):
  out = beside / "gallery.html"
  gallery.write(runs, out)
  (figure,) = json.loads(re.search(r'id="figures">(.*?)</script>', out.read_text(), re.DOTALL)[1]).values()
  assert [trace["name"] for trace in figure["data"]] == ["perfect", *map(str, runs)]
  assert figure["layout"]["xaxis"]["title"]["text"] == "prompted test loss (nats)"
  prompted, achieved = (arrays["alignment"][f"test.{name}"].mean(axis=0) for name in ("prompted", "achieved.recorded"))
  drawn = gallery.figure({"a": gallery.Curve(prompted, achieved)}, "test loss (nats)").data[1]
  np.testing.assert_allclose((drawn.x, drawn.y), (prompted, achieved))


def test_runs_of_different_metrics_share_axes_without_a_unit(runs, beside):
  other = json.loads((runs[1] / workdir.CONFIG).read_text()) | {"metric": "test_error"}
  workdir.write_json(runs[1] / workdir.CONFIG, other)
  change(runs[1], "one_update", lambda summary: summary["numbers"].clear())
  out = beside / "gallery.html"
  gallery.write(runs, out)
  assert "These runs are of different metrics" in out.read_text()
  curves = {
    "loss": gallery.Curve(np.asarray([0.0, 1.0, 2.0]), np.asarray([0.0, 1.0, 2.0])),
    "return": gallery.Curve(np.asarray([500.0, 260.0, 20.0]), np.asarray([500.0, 20.0, 20.0])),
  }
  _, loss, reward = gallery.figure(curves, None).data
  np.testing.assert_allclose((loss.x, loss.y), [[0, 0.5, 1], [0, 0.5, 1]])
  np.testing.assert_allclose((reward.x, reward.y), [[0, 0.5, 1], [0, 1, 1]])


@pytest.mark.parametrize(
  ("break_it", "message"),
  [
    (lambda run: (run / workdir.CONFIG).unlink(), "no evaluated workdir"),
    (lambda run: shutil.rmtree(run), "no evaluated workdir"),
    (lambda run: shutil.rmtree(run / "evaluation"), "not evaluated yet"),
    (lambda run: (run / workdir.CONFIG).write_text('{"task": "digits"}'), "not the configuration of an experiment"),
    (lambda run: (run / workdir.CONFIG).write_text('{"task": "digits", "metric": "x"}'), "not the configuration"),
    (lambda run: (run / workdir.CONFIG).write_text("[3]"), "not the configuration of an experiment"),
    (lambda run: (run / workdir.CONFIG).write_text("{"), "not JSON"),
    (lambda run: (run / "evaluation/alignment.npz").unlink(), "missing"),
  ],
)
def test_a_folder_that_is_no_evaluated_workdir_is_named(runs, beside, break_it, message):
  break_it(runs[1])
  out = beside / "gallery.html"
  with pytest.raises(UserError, match=f"{re.escape(str(runs[1]))}.*{message}") as error:
    gallery.write(runs, out)
  assert "\n" not in str(error.value) and not out.exists()


def test_the_command_says_what_is_missing():
  with pytest.raises(UserError, match="--out"):
    gallery.main(["runs/first"])
