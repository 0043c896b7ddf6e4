"""The page: whole, offline, true to the evaluations' files, and drawn by a browser without complaint."""

import html
from html.parser import HTMLParser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from g_pt import workdir
from g_pt.errors import UserError
from g_pt.report import marks, page, words
from g_pt.report.base import Key, Section, Table


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


@pytest.fixture
def write(write_workdir, values, sections):
  """Writes the workdir and its page; returns the page's text."""

  def write(**rest):
    directory = write_workdir()
    page.write(directory, **({"values": values, "sections": sections} | rest))
    return read(directory)

  return write


def test_tables_show_what_the_summaries_hold(write):
  rows = Rows(without_library(write())).rows
  for row in (
    ["training runs", "0.957", "0.930 to 0.970", "0.980"],
    ["test runs", "-0.123", "-0.500 to 0.250", "0.120"],
    ["test runs, held-out data", "-0.200", "-0.600 to 0.200", "0.100"],
    ["start, mean", "2.35", "2.33"],
    ["achieved, mean", "0.400", "0.450"],
    ["achieved, lowest to highest", "0.312 to 0.568", "0.330 to 0.600"],
    ["test error (%), mean", "12.3", "13.6"],
    ["AdamW", "0.01", "1/4 of the run", "0.123", "30", "26 to 35", "2.20"],
    ["SGD", "0.3", "constant", "0.877", "not within 700 steps", "480 or more", "2.21"],
    ["runs", "4,321 (17 rejected)"],
    ["parameters", "1,234,567"],
    ["trained in", "1 h 02 min"],
    ["one update", "8.4 s"],
  ):
    assert row in rows


def test_key_numbers_and_captions(write):
  text = without_library(write())
  assert "<h1>G.pt on digits: test loss (nats)</h1>" in text
  for value in ("-0.123", "2.35 → 0.400", "30 steps", "1.23M"):
    assert f"<dd>{value}</dd>" in text
  assert "of AdamW, the fastest optimizer here" in text
  assert "Not as good within 700 steps: SGD; SGD on held-out data." in text
  assert "asked for 5 values, from 0.05" in text


def test_sections_stand_in_the_order_given_and_training_last(write, sections):
  text = write(sections={name: sections[name] for name in ("corpus", "model", "alignment", "one_update")})
  titles = re.findall("<h2>(.*?)</h2>", without_library(text))
  assert titles == [
    "The corpus it learned from",
    "Do networks get what is asked for?",
    "One update against hand-made optimizers",
    "How G.pt learned",
    "Summary",
    "How this page was made",
  ]


class Ages:
  """A section for an evaluation that this package has never heard of."""

  @staticmethod
  def section(found, view):
    drawn = marks.empty("network", view.metric.label)
    drawn.add_trace(marks.line([0, 1, 2], found.array("age"), "age", {"color": marks.GPT}))
    return Section("How old are networks?", "A toy.", {"Ages": drawn})

  @staticmethod
  def tables(found, view):
    return (Table("Ages", (), (("oldest", words.number(found.summary["oldest"])),)),)

  @staticmethod
  def keys(found, view):
    return (Key(words.number(found.summary["oldest"]), "the age of the oldest network"),)


def test_a_toy_evaluation_shows_in_page_and_terminal(write, write_workdir, values, sections, summaries, arrays):
  before = write()
  summaries["ages"] = {"oldest": 77.7}
  arrays["ages"] = {"age": np.asarray([5.0, 77.7, 6.0])}
  assert write() == before  # where the table does not name it
  sections["ages"] = Ages
  text = write()
  assert len(plots(text)) == len(plots(before)) + 1
  assert "<h2>How old are networks?</h2>" in text and "<dd>77.7</dd>" in text
  assert ["oldest", "77.7"] in Rows(without_library(text)).rows
  assert re.search(r'"ages": \{\s*"own": "settings of ages"', html.unescape(without_library(text)))
  assert re.search("^  oldest +77.7$", page.summary_text(write_workdir(), values, sections), re.MULTILINE)


@pytest.mark.parametrize("absent", ["alignment", "one_update", "corpus", "model"])
def test_an_evaluation_that_is_absent_is_left_out(write, write_workdir, values, sections, summaries, arrays, absent):
  whole, lines = write(), page.summary_text(write_workdir(), values, sections)
  (write_workdir() / "evaluation" / f"{absent}.json").unlink()
  del summaries[absent]
  arrays.pop(absent, None)
  text = write()
  rows, whole_rows = (Rows(without_library(one)).rows for one in (text, whole))
  assert len(rows) < len(whole_rows) and all(row in whole_rows for row in rows)
  assert len(plots(text)) == len(plots(whole)) - {"alignment": 3, "one_update": 2, "corpus": 2, "model": 0}[absent]
  left = page.summary_text(write_workdir(), values, sections)
  assert len(left.splitlines()) == len(lines.splitlines()) - (len(whole_rows) - len(rows)) - TITLES[absent]


# Tables without a row of column names, whose titles are lines of their own in the terminal.
TITLES = {"alignment": 0, "one_update": 0, "corpus": 1, "model": 1}


def test_no_evaluation_at_all_is_refused(write_workdir, values, sections, summaries, arrays):
  summaries.clear()
  arrays.clear()
  for show in (page.write, page.summary_text):
    with pytest.raises(UserError, match="not evaluated yet .*; run --stage=evaluate$"):
      show(write_workdir(), values, sections)


def test_page_is_self_contained(write):
  text = write()
  assert text.count("* plotly.js v") == 1
  rest = without_library(text)
  assert len(rest) < len(text) / 10
  assert not re.search(r"\b(src|href)\s*=|@import|url\(|https?:", rest)
  assert "default-src 'none'" in rest


def test_command_configuration_and_settings_are_shown(write, write_workdir):
  assert f"python main.py --config=EXPERIMENT.py --workdir={write_workdir()}" in write()
  text = write(command="python main.py --config=experiments/digits_loss.py --workdir=here")
  assert "<pre>python main.py --config=experiments/digits_loss.py --workdir=here</pre>" in text
  assert "&quot;average_decay&quot;: 0.9999" in text
  assert "&quot;own&quot;: &quot;settings of alignment&quot;" in text
  assert re.search(r"jax \d+\.\d+\.\d+", text) and re.search(r"plotly \d+\.\d+", text)


def test_text_is_escaped_wherever_it_comes_from(write, values, loss, summaries, arrays, monkeypatch):
  evil = '</script><script>alert("&1")</script>'
  monkeypatch.setitem(vars(loss), "label", evil)
  for part in ("recorded", "final"):
    optimizers = summaries["one_update"]["optimizers"][part]
    optimizers[evil] = optimizers.pop("adamw")
  for name in ("step", "recorded", "final"):
    arrays["one_update"][f"curve.{evil}.{name}"] = arrays["one_update"].pop(f"curve.adamw.{name}")
  text = write(values={**values, "data_dir": evil}, command=evil)
  assert "<script>alert" not in text
  assert text.count("&lt;/script&gt;&lt;script&gt;alert(&quot;&amp;1&quot;)&lt;/script&gt;") > 5
  assert len(re.findall(r"</script>", without_library(text))) == 2  # the figures' numbers, what draws them


def contents(directory):
  return {file: file.read_bytes() for file in (directory / "evaluation").iterdir()}


def test_writing_is_repeatable_and_whole(write, write_workdir, values, sections):
  first, directory = write(), write_workdir()
  before = contents(directory)
  page.write(directory, values, sections)
  assert read(directory) == first
  assert contents(directory) == before  # the evaluations' files are theirs
  (directory / "evaluation/one_update.npz").unlink()
  with pytest.raises(UserError):
    page.write(directory, values, sections)
  assert read(directory) == first
  assert [file.name for file in (directory / "report").iterdir()] == ["index.html"]


@pytest.mark.parametrize(("file", "stage"), [("evaluation/alignment.npz", "evaluate"), (workdir.METRICS, "train")])
def test_a_missing_file_is_named(write_workdir, values, sections, file, stage):
  directory = write_workdir()
  (directory / file).unlink()
  with pytest.raises(UserError, match=re.escape(f"{directory / file}: missing; run --stage={stage}")):
    page.write(directory, values, sections)


@pytest.mark.parametrize(
  ("file", "content", "message"),
  [
    ("evaluation/corpus.npz", "no zip", "not readable"),
    ("evaluation/corpus.npz", "", "not readable"),
    ("evaluation/model.json", '{"settings": {}', "not JSON"),
    ("evaluation/model.json", '{"settings": {}, "seconds": 1}', "no 'summary' in it; run --stage=evaluate again"),
    ("evaluation/model.json", "3", "no 'settings' in it; run --stage=evaluate again"),
    (workdir.METRICS, '{"step": 1, "seconds": 2}\n{"step": 2, "se', ", line 2: not a line of training metrics"),
    (workdir.METRICS, '{"loss": 1}', ", line 1: not a line of training metrics: no step or seconds"),
    (workdir.METRICS, "3", ", line 1: not a line of training metrics"),
  ],
)
def test_a_broken_file_is_named(write_workdir, values, sections, file, content, message):
  directory = write_workdir()
  (directory / file).write_text(content)
  with pytest.raises(UserError, match=re.escape(f"{directory / file}") + ".*" + re.escape(message)) as error:
    page.write(directory, values, sections)
  assert "\n" not in str(error.value)


def test_a_missing_array_is_named(write, arrays):
  del arrays["corpus"]["quantile"]
  with pytest.raises(UserError, match=r"corpus.npz: array 'quantile' is missing; run --stage=evaluate again"):
    write()


def plots(text):
  return re.findall(r'<div class="plot" id="(plot-\d+)"', text)


def test_figures_that_cannot_be_drawn_leave_a_note(write, summaries, lines):
  assert len(plots(write())) == 9
  for line in lines:
    line.pop("prompt_alignment", None)
  summaries["one_update"]["optimizers"] = {"recorded": {}, "final": {}}
  text = write()
  assert plots(text) == [f"plot-{i}" for i in range(6)]
  assert "This task names no optimizers" in text and "Prompt alignment was not measured during training" in text
  lines.clear()
  text = write()
  assert len(plots(text)) == 5 and "This workdir holds no training steps." in text


_BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(_BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed")
def test_a_browser_draws_every_figure_without_a_word_on_the_console(write_workdir, values, sections, tmp_path):
  directory = write_workdir()
  page.write(directory, values, sections)
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
  assert drawn[::2] == names and len(names) == 9
  figures = json.loads(re.search(r'id="figures">(.*?)</script>', dom, re.DOTALL)[1])
  for name, content in zip(names, drawn[1::2]):
    assert "main-svg" in content
    traces = len(re.findall(r'<g class="trace (?:scatter|bars)', content))
    assert traces == len(figures[name]["data"]), name
