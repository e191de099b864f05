"""Configs: what is accepted, what the refusals say, and that JSON gives back what it was given."""

import dataclasses
import json
import math
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldm_lab.core.config import check, differences, from_dict, setting, to_dict
from ldm_lab.core.errors import ConfigError, RequestError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = setting(4, help="Channels.", minimum=1, maximum=64)
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other:
    codes: int = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    rate: float = setting(0.5, help="A rate.", minimum=0.0)
    levels: tuple[int, ...] = setting((1, 2), help="Levels.", minimum=1, maximum=8)
    span: tuple[float, float] | None = None
    name: str = setting("x", help="A name.", choices=("x", "y"))
    on: bool = False
    inner: Inner | Other = Inner()
    inners: tuple[Inner, ...] = ()
    required: int = setting(dataclasses.MISSING, help="No default.")

    def __post_init__(self) -> None:
        check(self)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": True}, "rate is True; expected float"),
        ({"rate": "0.5"}, "rate is '0.5'; expected float"),
        ({"rate": math.nan}, "rate is nan; it must be a finite number"),
        ({"rate": math.inf}, "rate is inf; it must be a finite number"),
        ({"rate": -0.1}, "rate is -0.1; it must be at least 0.0"),
        ({"levels": (1, 9)}, "levels is 9; it must be from 1 to 8"),
        ({"levels": [1, 2]}, r"levels is \[1, 2\]; expected a tuple of int"),
        ({"levels": (1.0,)}, r"levels is \(1.0,\); expected a tuple of int"),
        ({"span": (0.1,)}, r"span is \(0.1,\); expected a tuple of float or None"),
        ({"span": (0.1, math.nan)}, "span is nan; it must be a finite number"),
        ({"name": "z"}, "name is 'z'; choose one of x, y"),
        ({"on": 1}, "on is 1; expected bool"),
        ({"inner": 3}, "inner is 3; expected Inner or Other"),
        ({"required": True}, "required is True; expected int"),
        ({"required": 1.0}, "required is 1.0; expected int"),
    ],
)
def test_a_value_that_does_not_fit_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Outer(**{"required": 1} | values)


@pytest.mark.parametrize(
    "values", [{"rate": 1}, {"levels": (1, 8)}, {"levels": ()}, {"span": (0, 1.5)}, {"inner": Other()}]
)
def test_values_on_the_edge_are_accepted(values):
    assert Outer(required=1, **values)


def test_a_literal_names_its_choices():
    with pytest.raises(ConfigError, match="kind is 'c'; expected one of a, b"):
        Inner(kind="c")


def test_the_class_of_the_error_is_the_callers_choice():
    config = object.__new__(Inner)
    object.__setattr__(config, "width", 0)
    object.__setattr__(config, "kind", "a")
    with pytest.raises(RequestError, match="width is 0"):
        check(config, error=RequestError)


inners = st.builds(Inner, width=st.integers(1, 64), kind=st.sampled_from(["a", "b"]))
numbers = st.floats(0, 1e6, allow_nan=False)
outers = st.builds(
    Outer,
    rate=numbers,
    levels=st.lists(st.integers(1, 8), max_size=4).map(tuple),
    span=st.none() | st.tuples(numbers, numbers),
    name=st.sampled_from(["x", "y"]),
    on=st.booleans(),
    inner=inners | st.builds(Other, codes=st.integers()),
    inners=st.lists(inners, max_size=3).map(tuple),
    required=st.integers(),
)


@given(outers)
def test_json_gives_back_the_config(config):
    assert from_dict(Outer, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"required": 1, "wdith": 3}, "Outer has no field wdith; it has: .*levels"),
        (
            {"required": 1, "inner": {"width": 3, "target": "os.system"}},
            "inner is {.*'target'.*; expected Inner or Other",
        ),
        ({"required": 1, "inners": [{"width": 3, "hight": 2}]}, "Inner has no field hight"),
        ({"required": 1, "inners": [3]}, "Inner needs a mapping, got int"),
        ({"required": 1, "inner": {"width": 0}}, "width is 0; it must be from 1 to 64"),
        ({"required": 1, "span": [1.0, 2.0, 3.0]}, r"span is \[?\(?1.0, 2.0, 3.0"),
        ({}, "Outer needs a value for required"),
        ([], "Outer needs a mapping, got list"),
    ],
)
def test_json_that_does_not_fit_is_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(Outer, data)


def test_limits_and_help_travel_with_the_field():
    (width, _) = dataclasses.fields(Inner)
    assert width.metadata["help"] == "Channels."
    assert (width.metadata["minimum"], width.metadata["maximum"]) == (1, 64)


def test_differences_name_nested_fields_with_dots():
    first = Outer(required=1)
    second = dataclasses.replace(first, inner=Inner(width=5), levels=(1, 3), rate=0.25)
    assert differences(first, second) == {"inner.width": (4, 5), "levels": ([1, 2], [1, 3]), "rate": (0.5, 0.25)}
    assert differences(first, first) == {}
    assert differences({"a": 1}, {"b": None, "a": 1}) == {}
    assert differences({"a": {"b": 1}}, {"a": None}) == {"a": ({"b": 1}, None)}


@dataclasses.dataclass(frozen=True)
class Colour:
    """A value with a JSON form of its own."""

    value: int

    def to_json(self):
        return f"#{self.value:06x}"

    @classmethod
    def from_json(cls, value):
        if not isinstance(value, str):
            raise ConfigError(f"a colour is {value!r}; expected a string")
        return cls(int(value[1:], 16))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Painting:
    ground: Colour = Colour(0)
    frame: Colour | None = None
    palette: tuple[Colour, ...] = ()
    size: Inner = Inner()

    def __post_init__(self) -> None:
        check(self)


def test_a_value_may_have_a_json_form_of_its_own():
    painting = Painting(ground=Colour(255), frame=Colour(16), palette=(Colour(1), Colour(2)))
    values = {"ground": "#0000ff", "frame": "#000010", "palette": ["#000001", "#000002"]}
    assert to_dict(painting) == values | {"size": {"width": 4, "kind": "a"}}
    assert from_dict(Painting, json.loads(json.dumps(to_dict(painting)))) == painting
    assert from_dict(Painting, {"frame": None}).frame is None
    with pytest.raises(ConfigError, match="a colour is 7; expected a string"):
        from_dict(Painting, {"ground": 7})


def test_values_that_are_already_what_a_field_holds_are_taken_as_they_are():
    inner, colour = Inner(width=8), Colour(3)
    painting = from_dict(Painting, {"size": inner, "ground": colour, "palette": [colour, "#000004"]})
    assert painting.size is inner
    assert painting.palette == (colour, Colour(4))
    assert from_dict(Outer, {"required": 1, "inner": Other(codes=2)}).inner == Other(codes=2)
