"""The HTML around the figures. The page loads nothing: its content security policy forbids it."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --muted: #59616b; --line: #d9dde2; --grid: #e9ecef;
  --link: #1a6aa2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15181c; --panel: #1d2126; --ink: #e8eaed; --muted: #a3abb5; --line: #3a4048; --grid: #2a2f36;
    --link: #7dbde8;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
body {
  margin: 0 auto; max-width: 1180px; padding: 2.5rem 1.25rem 3rem; background: var(--page); color: var(--ink);
  font: 16px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.25; margin: 0 0 .6rem; font-weight: 650; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3.2rem 0 .4rem; font-weight: 620; }
h3 { font-size: 1rem; margin: 0 0 .3rem; font-weight: 600; }
p { margin: .3rem 0 .8rem; max-width: 46rem; }
a { color: var(--link); text-underline-offset: .15em; }
.caption, .note, dt, th { color: var(--muted); }
.note { padding: .6rem .9rem; background: var(--panel); border-radius: 8px; }
.keys { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 1rem; margin: 1.8rem 0 0; }
.keys div { background: var(--panel); border-radius: 10px; padding: 1rem 1.1rem; }
.keys dt { font-size: .9rem; line-height: 1.4; }
.keys dd { margin: 0 0 .2rem; font-size: 1.75rem; font-weight: 640; line-height: 1.25; white-space: nowrap; }
.keys div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
nav { margin: 1.8rem 0 0; padding: .9rem 1.1rem; border: 1px solid var(--line); border-radius: 10px; }
nav h2 { font-size: 1rem; margin: 0; }
nav ol { margin: .2rem 0 0; padding: 0 0 0 1.4rem; columns: 17rem; column-gap: 2rem; }
nav li { break-inside: avoid; padding: .12rem 0; }
.up {
  position: fixed; right: 1rem; bottom: 1rem; padding: .3rem .7rem; border: 1px solid var(--line); border-radius: 8px;
  background: var(--page); font-size: .85rem; text-decoration: none;
}
.figures, .tables { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, var(--narrowest)), 1fr)); }
.figures { gap: 1.5rem; align-items: start; --narrowest: 340px; }
.figures.wide { --narrowest: 100%; }
/* Captions beside each other end, and figures begin, on one line. */
figure { margin: 0; min-width: 0; display: grid; grid-template-rows: subgrid; grid-row: span 2; row-gap: 0; }
.film img { display: block; max-width: 100%; height: auto; margin: .5rem 0; border-radius: 6px; }
figcaption {
  display: flex; gap: .8rem; align-items: baseline; justify-content: space-between; align-self: end;
  padding-left: .2rem;
}
figcaption > :first-child { font-weight: 600; }
.save { white-space: nowrap; }
button {
  font: inherit; font-size: .78rem; line-height: 1.5; color: var(--muted); background: none; cursor: pointer;
  border: 1px solid var(--line); border-radius: 6px; padding: .05rem .5rem; margin-left: .3rem;
}
button:hover, button:focus-visible { color: var(--ink); background: var(--panel); }
.plot { width: 100%; align-self: start; }
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
@media print {
  body { max-width: none; }
  figure, table { break-inside: avoid; }
  nav, .up, .save { display: none; }
}
"""

# Nothing but what the page itself holds: its own scripts by their hashes, films as data. Plotly styles its elements
# in place; blob: is for saving a figure as an image.
POLICY = (
  "default-src 'none'; script-src $scripts; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
  "form-action 'none'"
)

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
$contents
</header>
<noscript><p class="note">The figures need JavaScript; the tables below do not.</p></noscript>
<main>
$sections
</main>
<a class="up" href="#contents">Contents</a>
<script>$plotly</script>
<script type="application/json" id="figures">$figures</script>
<script>$script</script>
</body>
</html>
"""
