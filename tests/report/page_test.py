"""The page: whole, offline, true to the evaluations' files, and drawn by a browser without complaint."""

import base64
import csv
import hashlib
import html
from html.parser import HTMLParser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from g_pt import words, workdir
from g_pt.errors import UserError
from g_pt.report import marks, page
from g_pt.report.base import Film, Key, Section, Table


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


class Large(Ages):
  """A section that no one can open."""

  @staticmethod
  def section(found, view):
    drawn = Ages.section(found, view)
    next(iter(drawn.figures.values())).add_trace(marks.line(None, np.random.default_rng(0).random(1_500_000), "", {}))
    return drawn


def test_a_page_that_gets_too_large_is_refused_with_its_largest_section(
  write, write_workdir, sections, summaries, arrays
):
  before = write()
  summaries["ages"] = {"oldest": 77.7}
  arrays["ages"] = {"age": np.asarray([5.0, 77.7, 6.0])}
  sections["ages"] = Large
  message = r"index.html: 2\d\.\d MB, more than 15; its largest sections: ages 20\.\d MB, "
  with pytest.raises(UserError, match=message) as error:
    write()
  assert "\n" not in str(error.value) and read(write_workdir()) == before


class Shown(Ages):
  """A film of its own, of odd sides."""

  @staticmethod
  def section(found, view):
    frames = np.zeros((3, 5, 7, 3), np.uint8)
    return Section("How do networks age?", film=Film(frames, "<Ageing>", 'older & "older"'))


def test_any_section_may_carry_a_film(write, write_workdir, sections, summaries, arrays):
  summaries["ages"] = {"oldest": 77.7}
  arrays["ages"] = {"age": np.asarray([5.0])}
  sections["ages"] = Shown
  text = without_library(write())
  assert 'alt="older &amp; &quot;older&quot;"' in text and "<span>&lt;Ageing&gt;</span>" in text
  assert {"ages.gif", "ages.mp4"} < {file.name for file in (write_workdir() / "report").iterdir()}


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
  assert not re.search(r"\b(src|href)\s*=\s*[\"'](?!#|data:)|@import|url\(|https?:", rest)
  assert "default-src 'none'" in rest


def test_the_policy_lets_the_pages_own_scripts_run_and_no_other(write):
  text = write()
  policy = html.unescape(re.search('Content-Security-Policy" content="(.*?)"', text)[1])
  allowed = re.search("script-src (.*?);", policy)[1].split()
  scripts = re.findall("<script>(.*?)</script>", text, re.DOTALL)
  hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
  assert allowed == [f"'sha256-{one}'" for one in hashes] and len(scripts) == 2


def test_contents_lead_to_every_section(pictured, write):
  text = without_library(write())
  contents = re.search("<nav.*?</nav>", text, re.DOTALL)[0]
  links = re.findall('<a href="#(.*?)">(.*?)</a>', contents)
  sections = re.findall('<section id="(.*?)"><h2>(.*?)</h2>', text)
  assert links == sections and len(links) == len(set(links)) == 9
  ids = re.findall(r'\bid="(.*?)"', text)
  assert len(ids) == len(set(ids)) and set(re.findall('href="#(.*?)"', text)) <= set(ids)


def test_every_figure_can_be_saved_as_image_and_as_numbers(pictured, write):
  text = without_library(write())
  buttons = re.findall('<button type="button" data-save="(png|csv)" data-figure="(.*?)" aria-label="(.*?)"', text)
  assert [(kind, name) for kind, name, _ in buttons] == [(kind, one) for one in plots(text) for kind in ("png", "csv")]
  assert "Save as CSV: Training runs" in [label for *_, label in buttons]


def figures_of(text):
  return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.DOTALL)[1])


def test_frames_of_a_figure_reach_the_page(pictured, write):
  animated = [figure for figure in figures_of(write()).values() if figure.get("frames")]
  (figure,) = animated
  names = [frame["name"] for frame in figure["frames"]]
  assert names == ["1", "10", "100", "1,600"]
  assert [step["args"][0] for step in figure["layout"]["sliders"][0]["steps"]] == [[name] for name in names]


def test_a_film_is_in_the_page_and_beside_it(pictured, write, write_workdir):
  text, folder = write(), write_workdir() / "report"
  (image,) = re.findall('<img width="(.*?)" height="(.*?)" alt="(.*?)" src="data:image/gif;base64,(.*?)">', text)
  assert base64.b64decode(image[3]) == (folder / "walk.gif").read_bytes()
  assert image[2].startswith("First-layer filters of 6 networks")
  assert sorted(file.name for file in folder.iterdir()) == ["index.html", "walk.gif", "walk.mp4"]
  assert (folder / "walk.mp4").read_bytes()[4:8] == b"ftyp"


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


# Clicks all that can be clicked, and leaves in the page what would be saved.
CLICKS = """
addEventListener("load", async () => {
  const saved = {}, waiting = [], create = URL.createObjectURL;
  let made;
  URL.createObjectURL = blob => { made = blob; return create(blob); };
  HTMLAnchorElement.prototype.click = function () {
    const name = this.download, blob = made;
    saved[name] = "";
    if (name.endsWith(".csv")) waiting.push(blob.text().then(text => { saved[name] = text; }));
  };
  for (const button of document.querySelectorAll("button[data-save=csv]")) button.click();
  const animated = Array.from(document.querySelectorAll(".plot")).find(one => one.layout.sliders);
  if (animated) {
    const [name, how] = animated.layout.sliders[0].steps[0].args;
    await Plotly.animate(animated, name, how);
    saved.corner = animated.layout.annotations[0].text;
  }
  for (const button of document.querySelectorAll("button[data-save=png]")) button.click();
  await Promise.all(waiting);
  const limit = Date.now() + 100000;
  const images = () => Object.keys(saved).filter(name => name.endsWith(".png")).length;
  while (images() < document.querySelectorAll("button[data-save=png]").length && Date.now() < limit) {
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  const place = document.createElement("pre");
  place.id = "saved";
  place.textContent = JSON.stringify(saved);
  document.body.append(place);
});
"""


def browsed(text, folder):
  """(the page as a browser leaves it, lines of its console)."""
  page = folder / "page.html"
  page.write_text(text)
  flags = (
    "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync "
    "disable-component-update enable-logging=stderr v=0 virtual-time-budget=200000 window-size=1280,4200 dump-dom"
  )
  command = [_BROWSER, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={folder / 'profile'}"]
  done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
  return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_clicks(text):
  """The page with one more script, that its policy allows."""
  one = base64.b64encode(hashlib.sha256(CLICKS.encode()).digest()).decode()
  text = text.replace("script-src ", f"script-src 'sha256-{one}' ", 1)
  return text.replace("</body>", f"<script>{CLICKS}</script></body>")


needs_browser = pytest.mark.skipif(
  _BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed"
)


@needs_browser
def test_a_browser_draws_every_figure_without_a_word_on_the_console(pictured, write, tmp_path):
  text = write()
  dom, console = browsed(text, tmp_path)
  assert console == []
  names, figures = plots(text), figures_of(text)
  drawn = re.split(r'<div class="plot js-plotly-plot" id="(plot-\d+)"', without_library(dom))[1:]
  assert drawn[::2] == names and len(names) == 14
  for name, content in zip(names, drawn[1::2]):
    assert "main-svg" in content
    traces = len(re.findall(r'<g class="(?:trace (?:scatter|bars)|contour")', content))
    assert traces == len(figures[name]["data"]), name
  assert sum('class="slider-container"' in content for content in drawn[1::2]) == 1


@needs_browser
def test_a_browser_saves_images_and_numbers_and_moves_sliders(pictured, write, arrays, tmp_path):
  text = write()
  dom, console = browsed(with_clicks(text), tmp_path)
  assert console == []
  saved = json.loads(html.unescape(re.search('<pre id="saved">(.*?)</pre>', dom, re.DOTALL)[1]))
  assert saved.pop("corner") == "step 1: alignment -1.99"
  for kind in (".csv", ".png"):
    assert sum(name.endswith(kind) for name in saved) == len(plots(text)) == 14
  header, *lines = csv.reader(saved["test-loss-nats-in-the-plane-of-the-samples.csv"].splitlines())
  assert header == ["trace", "x", "y", "z"]
  of = arrays["landscape"]
  cells = np.asarray([line[1:] for line in lines if line[0] == "landscape"], float)
  np.testing.assert_allclose(cells[:, 2].reshape(19, 21), of["landscape"], rtol=1e-5)
  np.testing.assert_allclose(cells[:21, 0], of["x"])
  np.testing.assert_allclose(cells[::21, 1], of["y"])
  np.testing.assert_allclose([float(line[3]) for line in lines if line[0] == "samples"], of["metric"])
  header, *lines = csv.reader(saved["achieved-against-prompted-by-training-step.csv"].splitlines())
  assert header == ["frame", "trace", "x", "y"]
  second = [float(line[3]) for line in lines if line[:2] == ["10", "mean"]]
  np.testing.assert_allclose(second, arrays["course"]["achieved.recorded"][1].mean(axis=0))
  lines = list(csv.reader(saved["test-loss-nats-over-optimizer-steps.csv"].splitlines()))
  assert [line[1] for line in lines if line[0] == "SGD, learning rate 0.3, constant"] == [
    "0", "1", "3", "10", "30", "100", "700"
  ]  # fmt: skip
