"""What a published corpus is, for machines: Croissant 1.0 with the vocabulary for responsible AI.

docs.mlcommons.org/croissant/docs/croissant-spec.html and croissant-rai-spec.html
"""

from __future__ import annotations

from collections.abc import Mapping
import datetime
from typing import Any

from g_pt.corpus import about as told
from g_pt.corpus.about import About
from g_pt.corpus.table import COLUMNS

_TABLE = "metrics.parquet"
_FORMATS = {_TABLE: "application/x-parquet", "manifest.json": "application/json", "parameters.json": "application/json"}
_CONTEXT = {
  "@language": "en",
  "@vocab": "https://schema.org/",
  "citeAs": "cr:citeAs",
  "column": "cr:column",
  "conformsTo": "dct:conformsTo",
  "cr": "http://mlcommons.org/croissant/",
  "rai": "http://mlcommons.org/croissant/RAI/",
  "data": {"@id": "cr:data", "@type": "@json"},
  "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
  "dct": "http://purl.org/dc/terms/",
  "equivalentProperty": "cr:equivalentProperty",
  "examples": {"@id": "cr:examples", "@type": "@json"},
  "extract": "cr:extract",
  "field": "cr:field",
  "fileProperty": "cr:fileProperty",
  "fileObject": "cr:fileObject",
  "fileSet": "cr:fileSet",
  "format": "cr:format",
  "includes": "cr:includes",
  "isLiveDataset": "cr:isLiveDataset",
  "jsonPath": "cr:jsonPath",
  "key": "cr:key",
  "md5": "cr:md5",
  "parentField": "cr:parentField",
  "path": "cr:path",
  "recordSet": "cr:recordSet",
  "references": "cr:references",
  "regex": "cr:regex",
  "repeated": "cr:repeated",
  "replace": "cr:replace",
  "samplingRate": "cr:samplingRate",
  "sc": "https://schema.org/",
  "separator": "cr:separator",
  "source": "cr:source",
  "subField": "cr:subField",
  "transform": "cr:transform",
}


def croissant(about: About, columns: Mapping[str, str], digests: Mapping[str, str], url: str | None) -> dict[str, Any]:
  """The content of the file.

  Args:
    about: the corpus.
    columns: of the table, name -> `int`, `float` or `text`.
    digests: SHA-256 of files, by name; those that are described must be among them.
    url: where the corpus will be found; None: that is not said.
  """
  content = {
    "@context": _CONTEXT,
    "@type": "sc:Dataset",
    "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
    "name": about.name,
    "description": told.summary(about),
    "license": told.LICENCE_URL,
    "version": "1.0.0",
    "datePublished": datetime.date.today().isoformat(),
    "creator": {"@type": "sc:Organization", "name": "The maintainers of g-pt-jax"},
    "citeAs": f"A corpus of g-pt-jax, which implements Peebles et al. 2022, {told.PAPER}",
    "keywords": ["weight-space learning", "model zoo", "neural network checkpoints", about.manifest.task],
    "isLiveDataset": False,
    "distribution": [*_files(digests), _arrays()],
    "recordSet": [_records(about, columns)],
    **_responsible(about),
  }
  return content | ({"url": url} if url else {})


def _files(digests: Mapping[str, str]) -> list[dict[str, Any]]:
  return [
    {
      "@type": "cr:FileObject",
      "@id": name,
      "name": name,
      "contentUrl": name,
      "encodingFormat": kind,
      "sha256": digests[name],
    }
    for name, kind in _FORMATS.items()
  ]


def _arrays() -> dict[str, Any]:
  folders = ("theta", "step", "metrics", "largest")
  return {
    "@type": "cr:FileSet",
    "@id": "arrays",
    "name": "arrays",
    "description": "zarr v3 arrays: theta [run, checkpoint, parameter], metrics/NAME and step [run, checkpoint], "
    "largest [run]; parameters.json says what lies where along `parameter`. SHA256SUMS has their checksums.",
    "encodingFormat": "https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html",
    "includes": [f"{folder}/**" for folder in folders],
  }


def _records(about: About, columns: Mapping[str, str]) -> dict[str, Any]:
  types = {"int": "sc:Integer", "float": "sc:Float", "text": "sc:Text"}
  fields = [
    {
      "@type": "cr:Field",
      "@id": f"checkpoints/{name}",
      "name": name,
      "description": COLUMNS.get(name) or told.label(about.manifest, name),
      "dataType": types[kind],
      "source": {"fileObject": {"@id": _TABLE}, "extract": {"column": name}},
    }
    for name, kind in columns.items()
  ]
  return {
    "@type": "cr:RecordSet",
    "@id": "checkpoints",
    "name": "checkpoints",
    "description": "A record a checkpoint.",
    "key": [{"@id": "checkpoints/run"}, {"@id": "checkpoints/checkpoint"}],
    "field": fields,
  }


def _responsible(about: About) -> dict[str, Any]:
  uses = (
    "Learning from weights: generative models of networks, learned optimisation, prediction of a network's metric "
    "from its weights. Not for use as classifiers or policies: networks are small, and many of them untrained."
  )
  return {
    "rai:dataCollection": told.made(about.manifest),
    "rai:dataCollectionType": ["Software Collection", "Experiments"],
    "rai:dataPreprocessingProtocol": ["None: parameters and metrics are as they were while runs were trained."],
    "rai:dataAnnotationProtocol": ["None by people: metrics are measured."],
    "rai:dataUseCases": [uses],
    "rai:dataLimitations": told.limits(about),
    "rai:dataBiases": [told.BIASES],
    "rai:personalSensitiveInformation": ["None: weights of small networks and their metrics."],
    "rai:dataSocialImpact": "None is known.",
    "rai:dataReleaseMaintenancePlan": "A version stays as it is; it can be made again by the command on its card.",
  }
