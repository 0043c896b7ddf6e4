"""The HTML around the figures. The page loads nothing: its content security policy forbids it."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --muted: #59616b; --line: #d9dde2; --grid: #e9ecef;
}
@media (prefers-color-scheme: dark) {
  :root { --page: #15181c; --panel: #1d2126; --ink: #e8eaed; --muted: #a3abb5; --line: #3a4048; --grid: #2a2f36; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1180px; padding: 2.5rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 .6rem; font-weight: 650; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3.2rem 0 .4rem; font-weight: 620; }
h3 { font-size: 1rem; margin: 0 0 .3rem; font-weight: 600; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
.caption, .note, dt, th { color: var(--muted); }
.note { padding: .6rem .9rem; background: var(--panel); border-radius: 8px; }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 1rem; margin: 1.8rem 0 0; }
.keys div { background: var(--panel); border-radius: 10px; padding: 1rem 1.1rem; }
.keys dt { font-size: .9rem; line-height: 1.4; }
.keys dd { margin: 0 0 .2rem; font-size: 1.75rem; font-weight: 640; line-height: 1.25; white-space: nowrap; }
.keys div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.figures, .tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--narrowest)), 1fr)); }
.figures { gap: 1.5rem; align-items: end; --narrowest: 340px; }
.figures.wide { --narrowest: 100%; }
figure { margin: 1rem 0 0; min-width: 0; }
figcaption { font-weight: 600; padding-left: .2rem; }
.plot { width: 100%; }
.tables { --narrowest: 440px; gap: 1.6rem 2.5rem; align-items: start; grid-auto-flow: dense; margin-top: 1rem; }
.table { min-width: 0; overflow-x: auto; }
.table.wide { grid-column: 1 / -1; white-space: nowrap; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { padding: .32rem .2rem .32rem .7rem; border-top: 1px solid var(--line); text-align: right; font-weight: 400; }
th:first-child { text-align: left; padding-left: 0; }
thead th { vertical-align: bottom; }
pre {
  background: var(--panel); border-radius: 8px; padding: .8rem 1rem; overflow-x: auto;
  font: .85rem/1.5 ui-monospace, Menlo, Consolas, monospace;
}
summary { cursor: pointer; }
@media print { body { max-width: none; } figure, table { break-inside: avoid; } }
"""

# Draws each figure once, in the page's colours, and again where the reader changes from light to dark.
SCRIPT = """
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const options = {
    responsive: true, displaylogo: false, showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"]
  };
  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = name => style.getPropertyValue("--" + name).trim();
    const axis = {
      gridcolor: colour("grid"), linecolor: colour("line"), tickcolor: colour("line"), zeroline: false,
      showline: true, ticks: "outside", ticklen: 4, automargin: true
    };
    return {layout: {
      font: {family: getComputedStyle(document.body).fontFamily, size: 13, color: colour("muted")},
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", xaxis: axis, yaxis: axis,
      hoverlabel: {bgcolor: colour("page"), bordercolor: colour("line"), font: {color: colour("ink")}},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink")},
      annotationdefaults: {font: {color: colour("muted")}}
    }};
  };
  const elements = Array.from(document.querySelectorAll(".plot"));
  for (const element of elements) {
    const {data, layout} = figures[element.id];
    if (innerWidth < 600) {
      // The legend takes a line for each entry. Labels with leaders would be cut off; the tables have their numbers.
      const named = data.filter(trace => trace.showlegend !== false);
      for (const trace of named) {
        if (trace.name.length > 40) trace.name = trace.name.replace(/, ([^,]*)$/, ",<br>$1");
        layout.height += trace.name.includes("<br>") ? 36 : 20;
      }
      layout.margin.r = 16;
      layout.annotations = (layout.annotations || []).filter(label => label.showarrow === false);
    }
    Plotly.newPlot(element, data, {...layout, template: theme()}, options);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const element of elements) Plotly.relayout(element, {template: theme()});
  });
})();
"""

# Nothing but what the page itself holds; blob: is for saving a figure as an image.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
$lead
$keys
</header>
<noscript><p class="note">The figures need JavaScript; the tables below do not.</p></noscript>
<main>
$sections
</main>
<script>$plotly</script>
<script type="application/json" id="figures">$figures</script>
<script>$script</script>
</body>
</html>
"""
