"""The page: whole, offline, true to the evaluation's files, and drawn by a browser without complaint."""

import dataclasses
from html.parser import HTMLParser
import json
import re
import shutil
import subprocess

import pytest

from g_pt import tasks, workdir
from g_pt.errors import UserError
from g_pt.report import page
from g_pt.tasks import digits


def read(directory):
  return (directory / workdir.REPORT).read_text()


def without_library(text):
  """The page but for plotly's own script."""
  return re.sub(r"<script>/\*\*\s*\* plotly\.js.*?</script>", "", text, count=1, flags=re.DOTALL)


class Rows(HTMLParser):
  """The cells of each row of every table, in order, as a reader sees them."""

  def __init__(self, text):
    super().__init__()
    self.rows, self._in_cell = [], False
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    if tag == "tr":
      self.rows.append([])
    self._in_cell = tag in ("th", "td")

  def handle_endtag(self, tag):
    self._in_cell = False

  def handle_data(self, data):
    if self._in_cell:
      self.rows[-1].append(data)


def test_tables_show_what_the_summary_holds(write_workdir, experiment):
  directory = write_workdir()
  page.write(directory, experiment)
  rows = Rows(without_library(read(directory))).rows
  for row in (
    ["training runs", "0.957"],
    ["unseen runs", "-0.123"],
    ["start, mean", "2.35"],
    ["achieved, mean", "0.400"],
    ["achieved, lowest to highest", "0.312 to 0.568"],
    ["test error (%), mean", "12.3"],
    ["AdamW", "0.01", "0.123", "30"],
    ["SGD", "0.3", "0.877", "not within 700 steps"],
    ["training runs", "4,321 (23 held out, 17 rejected)"],
    ["parameters of G.pt", "1,234,567"],
    ["train", "1 h 02 min"],
  ):
    assert row in rows


def test_key_numbers_and_captions(write_workdir, experiment):
  directory = write_workdir()
  page.write(directory, experiment)
  text = without_library(read(directory))
  assert "<h1>G.pt on digits: test loss (nats)</h1>" in text
  for value in ("-0.123", "2.35 → 0.400", "30 steps", "1.23M"):
    assert f"<dd>{value}</dd>" in text
  assert "of AdamW, the fastest optimizer here" in text
  assert "Not as good within 700 steps: SGD." in text
  assert "asked for 5 values, from 0.05" in text


@pytest.mark.parametrize(
  ("steps", "expected"), [({"adamw": None, "sgd": None}, "&gt; 700 steps"), ({"adamw": 0, "sgd": 3}, "0 steps")]
)
def test_key_number_where_nothing_or_everything_matches(write_workdir, experiment, summary, steps, expected):
  summary["one_update"]["steps_to_match"] = steps
  directory = write_workdir()
  page.write(directory, experiment)
  assert f"<dd>{expected}</dd>" in read(directory)


def test_page_is_self_contained(write_workdir, experiment):
  directory = write_workdir()
  page.write(directory, experiment)
  text = read(directory)
  assert text.count("* plotly.js v") == 1
  rest = without_library(text)
  assert len(rest) < len(text) / 10
  assert not re.search(r"\b(src|href)\s*=|@import|url\(|https?:", rest)
  assert "default-src 'none'" in rest


def test_command_and_configuration_are_shown(write_workdir, experiment):
  directory = write_workdir()
  page.write(directory, experiment)
  assert f"python main.py --config=EXPERIMENT.py --workdir={directory}" in read(directory)
  page.write(directory, experiment, "python main.py --config=experiments/digits_loss.py --workdir=here")
  text = read(directory)
  assert "<pre>python main.py --config=experiments/digits_loss.py --workdir=here</pre>" in text
  assert "&quot;average_decay&quot;: " in text
  assert re.search(r"jax \d+\.\d+\.\d+", text) and re.search(r"plotly \d+\.\d+", text)


def test_text_is_escaped_wherever_it_comes_from(write_workdir, experiment, summary, arrays, monkeypatch):
  evil = '</script><script>alert("&1")</script>'
  metric = dataclasses.replace(digits.TASK.metric("test_loss"), label=evil)
  task = dataclasses.replace(digits.TASK, metrics={"test_loss": metric})
  monkeypatch.setitem(tasks.TASKS, "digits", task)
  for name in ("learning_rate", "optimizer_final_mean", "steps_to_match"):
    summary["one_update"][name][evil] = summary["one_update"][name].pop("adamw")
  arrays[f"curves.{evil}"] = arrays.pop("curves.adamw").copy()
  values = {**experiment.values, "data_dir": evil}
  directory = write_workdir()
  page.write(directory, dataclasses.replace(experiment, values=values), command=evil)
  text = read(directory)
  assert "<script>alert" not in text
  assert text.count("&lt;/script&gt;&lt;script&gt;alert(&quot;&amp;1&quot;)&lt;/script&gt;") > 5
  assert len(re.findall(r"</script>", without_library(text))) == 2  # the figures' numbers, what draws them


def test_writing_is_repeatable_and_whole(write_workdir, experiment):
  directory = write_workdir()
  page.write(directory, experiment)
  first = read(directory)
  page.write(directory, experiment)
  assert read(directory) == first
  (directory / workdir.ARRAYS).unlink()
  with pytest.raises(UserError):
    page.write(directory, experiment)
  assert read(directory) == first
  assert [file.name for file in (directory / "report").iterdir()] == ["index.html"]


@pytest.mark.parametrize(
  ("file", "stage"), [(workdir.SUMMARY, "evaluate"), (workdir.ARRAYS, "evaluate"), (workdir.METRICS, "train")]
)
def test_a_missing_file_is_named(write_workdir, experiment, file, stage):
  directory = write_workdir()
  (directory / file).unlink()
  with pytest.raises(UserError, match=re.escape(f"{directory / file}: missing; run --stage={stage}")):
    page.write(directory, experiment)


@pytest.mark.parametrize(
  ("file", "content", "message"),
  [
    (workdir.ARRAYS, "no zip", "not readable"),
    (workdir.ARRAYS, "", "not readable"),
    (workdir.METRICS, '{"step": 1, "seconds": 2}\n{"step": 2, "se', ", line 2: not a line of training metrics"),
    (workdir.METRICS, '{"loss": 1}', ", line 1: not a line of training metrics: no step or seconds"),
    (workdir.METRICS, "3", ", line 1: not a line of training metrics"),
  ],
)
def test_a_broken_file_is_named(write_workdir, experiment, file, content, message):
  directory = write_workdir()
  (directory / file).write_text(content)
  with pytest.raises(UserError, match=re.escape(f"{directory / file}") + ".*" + re.escape(message)) as error:
    page.write(directory, experiment)
  assert "\n" not in str(error.value)


def test_a_missing_array_is_named(write_workdir, experiment, arrays):
  del arrays["corpus.quantile"]
  directory = write_workdir()
  with pytest.raises(UserError, match=r"arrays.npz: array 'corpus.quantile' is missing; run --stage=evaluate again"):
    page.write(directory, experiment)


def plots(text):
  return re.findall(r'<div class="plot" id="(plot-\d+)"', text)


def test_figures_that_cannot_be_drawn_leave_a_note(write_workdir, experiment, summary, arrays, training):
  page.write(write_workdir(), experiment)
  assert len(plots(read(write_workdir()))) == 7
  for line in training:
    line.pop("prompt_alignment", None)
  for name in ("learning_rate", "optimizer_final_mean", "steps_to_match"):
    summary["one_update"][name] = {}
  del arrays["curves.adamw"], arrays["curves.sgd"]
  directory = write_workdir()
  page.write(directory, experiment)
  text = read(directory)
  assert plots(text) == [f"plot-{i}" for i in range(5)]
  assert "This task names no optimizers" in text and "Prompt alignment was not measured during training" in text
  training.clear()
  directory = write_workdir()
  page.write(directory, experiment)
  assert len(plots(read(directory))) == 4 and "This workdir holds no training steps." in read(directory)


def test_summary_text_is_the_table(summary):
  assert "not within its run" in page.summary_text(summary)
  summary["one_update"]["optimizer_steps"] = 700
  text = page.summary_text(summary)
  assert text.startswith("digits: test loss (nats)\n") and "not within 700 steps" in text


_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(_BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed")
def test_a_browser_draws_every_figure_without_a_word_on_the_console(write_workdir, experiment, tmp_path):
  directory = write_workdir()
  page.write(directory, experiment)
  flags = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync "
    "disable-component-update enable-logging=stderr v=0 virtual-time-budget=10000 window-size=1280,4200 dump-dom"
  )
  command = [_BROWSER, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={tmp_path / 'profile'}"]
  done = subprocess.run(
    [*command, (directory / workdir.REPORT).as_uri()], capture_output=True, text=True, timeout=120, check=True
  )
  assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
  dom = without_library(done.stdout)
  names = plots(read(directory))
  drawn = re.split(r'<div class="plot js-plotly-plot" id="(plot-\d+)"', dom)[1:]
  assert drawn[::2] == names and len(names) == 7
  figures = json.loads(re.search(r'id="figures">(.*?)</script>', dom, re.DOTALL)[1])
  for name, content in zip(names, drawn[1::2]):
    assert "main-svg" in content
    traces = len(re.findall(r'<g class="trace (?:scatter|bars)', content))
    assert traces == len(figures[name]["data"]), name
