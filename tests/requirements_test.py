"""What is installed to test lies in the ranges that are promised, and the two lists are of the same packages."""

import configparser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
import pytest

ROOT = Path(__file__).parent.parent


def requirements(lines):
  """{name: Requirement} of lines as pip reads them."""
  parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
  assert len({canonicalize_name(one.name) for one in parsed}) == len(parsed)
  return {canonicalize_name(one.name): one for one in parsed}


@pytest.fixture(scope="module")
def pins():
  return requirements((ROOT / "requirements.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def ranges():
  settings = configparser.ConfigParser()
  settings.read(ROOT / "setup.cfg")
  return requirements(settings["options"]["install_requires"].splitlines())


def test_both_lists_are_of_the_same_packages(pins, ranges):
  assert pins.keys() == ranges.keys()


def test_every_pin_is_one_version_in_its_range(pins, ranges):
  for name, pin in pins.items():
    (exact,) = pin.specifier
    assert exact.operator == "==" and "*" not in exact.version, pin
    assert ranges[name].specifier.contains(exact.version), f"{pin} is not in {ranges[name]}"


def test_every_range_has_two_ends(ranges):
  for requirement in ranges.values():
    assert sorted(bound.operator for bound in requirement.specifier) == ["<", ">="], requirement
