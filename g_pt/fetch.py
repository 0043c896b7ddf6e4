"""Image sets of TFDS -> this machine, so that experiments need no network.

    python -m g_pt.fetch [NAME ...] [--data_dir=DIR]

Without names: MNIST, Fashion-MNIST, KMNIST and CIFAR-10. What is there already is left.
"""

from __future__ import annotations

from collections.abc import Sequence

from g_pt import command
from g_pt.tasks import datasets

_NAMES = ("mnist", "fashion_mnist", "kmnist", "cifar10")


def main(arguments: Sequence[str]) -> None:
  parser = command.Parser(description=__doc__, prog="python -m g_pt.fetch")
  parser.add_argument("names", nargs="*", metavar="NAME", default=_NAMES, help="as TFDS has it")
  parser.add_argument("--data_dir", help="where to, as in the configuration; by default the user's cache")
  given = parser.parse_args(arguments)
  for name in given.names:
    data = datasets.tfds_images(name, given.data_dir)
    test = len(data.recorded.labels) + len(data.final.labels)
    print(f"{name}: {len(data.train.labels):,} training and {test:,} test images")


if __name__ == "__main__":
  command.run(main, "fetch")
