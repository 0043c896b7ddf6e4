"""The report: one self-contained page (placeholder until the figures are there)."""


def write(directory, experiment): ...


def summary_text(summary):
  import json

  return json.dumps(summary, indent=2)
