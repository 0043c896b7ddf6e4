"""Settings refuse what is beyond their limits, and dictionaries what they cannot be; every message names the field."""

import dataclasses
import math

import pytest

from g_pt.errors import ConfigError
from g_pt.fields import Fields, Settings, limited
from g_pt.train.step import TrainConfig


@dataclasses.dataclass(frozen=True)
class Inner(Settings):
  share: float = limited(0.5, least=0, most=1)


@dataclasses.dataclass(frozen=True)
class Sizes(Settings):
  count: int = limited(3, least=1)
  rate: float = limited(0.1, above=0)
  decay: float = limited(0.9, least=0, below=1)
  kind: str = limited("fast", choices=("fast", "slow"))
  rates: tuple[float, ...] = limited((0.1, 0.2), above=0)
  place: str | None = None
  on: bool = False
  inner: Inner = Inner()

  def check(self):
    if self.kind == "slow" and self.count > 5:
      raise ValueError(f"count: {self.count} is too many for kind=slow")


VALUES = {
  "count": 3,
  "rate": 0.1,
  "decay": 0.9,
  "kind": "fast",
  "rates": [0.1, 0.2],
  "place": None,
  "on": False,
  "inner": {"share": 0.5},
}


@pytest.mark.parametrize(
  ("values", "message"),
  [
    ({"count": 0}, "count: 0 is less than 1"),
    ({"rate": 0.0}, "rate: 0.0 is not greater than 0"),
    ({"rate": math.nan}, "rate: nan is not a finite number"),
    ({"rate": math.inf}, "rate: inf is not a finite number"),
    ({"decay": 1.0}, "decay: 1.0 is not less than 1"),
    ({"decay": -0.1}, "decay: -0.1 is less than 0"),
    ({"kind": "slowly"}, "kind: unknown 'slowly'; it is one of: fast, slow"),
    ({"rates": (0.1, -1.0)}, "rates: -1.0 is not greater than 0"),
    ({"rates": (math.nan,)}, "rates: nan is not a finite number"),
    ({"kind": "slow", "count": 6}, "count: 6 is too many for kind=slow"),
  ],
)
def test_what_is_beyond_its_limits_is_refused(values, message):
  with pytest.raises(ValueError) as error:
    Sizes(**values)
  assert str(error.value) == message
  with pytest.raises(ValueError):
    dataclasses.replace(Sizes(), **values)
  # From a dictionary, with the path of the field before it.
  with pytest.raises(ConfigError) as error:
    Fields({"a": {"b": VALUES | values}}).below("a").below("b").whole(Sizes)
  assert str(error.value) == f"a.b.{message}"


def test_limits_that_include_their_ends_do():
  assert Inner(0.0).share == 0.0 and Inner(1.0).share == 1.0 and Sizes(count=1, decay=0.0).count == 1
  with pytest.raises(ValueError, match="^share: 1.5 is more than 1$"):
    Inner(1.5)


def test_no_float_may_be_other_than_a_number_even_without_limits():
  @dataclasses.dataclass(frozen=True)
  class Free(Settings):
    shift: float = 0.0

  assert Free(-3.0).shift == -3.0
  with pytest.raises(ValueError, match="^shift: -inf is not a finite number$"):
    Free(-math.inf)


def test_defaults_have_limits_too():
  @dataclasses.dataclass(frozen=True)
  class Wrong(Settings):
    count: int = limited(0, least=1)

  with pytest.raises(ValueError, match="^count: 0 is less than 1$"):
    Wrong()


def test_a_dictionary_of_the_fields_is_taken_whole():
  found = Fields(VALUES | {"count": 4, "place": "here", "rate": 1, "rates": [1, 0.5]}).whole(Sizes)
  assert found == Sizes(count=4, place="here", rate=1.0, rates=(1.0, 0.5))
  assert isinstance(found.rate, float) and all(isinstance(rate, float) for rate in found.rates)
  assert Fields(dataclasses.asdict(Sizes())).whole(Sizes) == Sizes()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"counts": 3}, "top.counts: unknown field"),
    ({"count": None}, "top.count: None is of type NoneType; int is needed"),
    ({"count": 3.0}, "top.count: 3.0 is of type float; int is needed"),
    ({"count": True}, "top.count: True is of type bool; int is needed"),
    ({"rate": "0.1"}, "top.rate: '0.1' is of type str; float is needed"),
    ({"rate": True}, "top.rate: True is of type bool; float is needed"),
    ({"on": 1}, "top.on: 1 is of type int; bool is needed"),
    ({"place": 3}, "top.place: 3 is of type int; str or nothing is needed"),
    ({"rates": [0.1, "x"]}, "top.rates[1]: 'x' is of type str; float is needed"),
    ({"rates": 0.1}, "top.rates: 0.1 is of type float; tuple is needed"),
    ({"inner": 0.1}, "top.inner: 0.1 is of type float; dict is needed"),
    ({"inner": {}}, "top.inner.share: this field is missing"),
    ({"inner": {"share": 0.5, "more": 1}}, "top.inner.more: unknown field"),
    ({"inner": {"share": 1.5}}, "top.inner.share: 1.5 is more than 1"),
  ],
)
def test_what_a_dictionary_cannot_be_is_named_by_its_path(change, message):
  with pytest.raises(ConfigError) as error:
    Fields({"top": VALUES | change}).below("top").whole(Sizes)
  assert str(error.value) == message


def test_a_field_that_may_be_nothing_may_be_absent():
  """As in files of a version that did not have it."""
  assert Fields({name: value for name, value in VALUES.items() if name != "place"}).whole(Sizes) == Sizes()


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"place"}))
def test_a_missing_field_is_named(name):
  values = {other: value for other, value in VALUES.items() if other != name}
  with pytest.raises(ConfigError) as error:
    Fields(values).whole(Sizes)
  assert str(error.value) == f"{name}: this field is missing"


def test_part_leaves_what_other_dataclasses_take():
  fields = Fields(VALUES | {"share": 0.25}, "mixed")
  assert fields.part(Inner) == Inner(0.25)
  assert fields.part(Sizes) == Sizes()
  fields.end()
  left = Fields({"share": 0.25, "count": 1}, "mixed")
  left.part(Inner)
  with pytest.raises(ConfigError, match="^mixed.count: unknown field$"):
    left.end()


def test_a_name_is_looked_up_and_its_alternatives_named():
  def get(name):
    if name != "known":
      raise ValueError(f"unknown {name!r}; it is one of: known")
    return 7

  assert Fields({"thing": "known"}).named("thing", get) == 7
  with pytest.raises(ConfigError, match="^at.thing: unknown 'other'; it is one of: known$"):
    Fields({"thing": "other"}, "at").named("thing", get)
  with pytest.raises(ConfigError, match="^at.thing: 3 is of type int; str is needed$"):
    Fields({"thing": 3}, "at").named("thing", get)


def test_what_is_given_is_not_changed():
  values = {**VALUES}
  Fields(values).whole(Sizes)
  assert values == VALUES


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"learning_rate": math.nan}, "train.learning_rate: nan is not a finite number"),
    ({"batch_size": 10, "microbatches": 4}, "train.batch_size: 10 is not a multiple of microbatches=4"),
    ({"pairs": {"bins": 0}}, "train.pairs.bins: 0 is less than 1"),
    ({"pairs": {"weighting": "uniform", "records": True}}, "train.pairs.records: for weighting=metric alone, not unif"),
    ({"behaviour": -1.0}, "train.behaviour: -1.0 is less than 0"),
    ({"behaviour_inputs": 0}, "train.behaviour_inputs: 0 is less than 1"),
  ],
)
def test_training_s_settings_are_refused_by_their_path(change, message):
  values = dataclasses.asdict(TrainConfig())
  values |= change | ({"pairs": values["pairs"] | change["pairs"]} if "pairs" in change else {})
  with pytest.raises(ConfigError) as error:
    Fields({"train": values}).below("train").whole(TrainConfig)
  assert str(error.value).startswith(message)
