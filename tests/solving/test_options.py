import contextlib
import math
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from dmcjia_opt import Stop, generate, solve
from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.solving.options import (
    Factor,
    OneOf,
    Probability,
    from_text,
    method,
    names_of,
    options_of,
    settings,
    type_in_words,
    values,
)
from dmcjia_opt.solving.registry import METHODS, options


@dataclass
class Base:
    """A base.

    Parameters
    ----------
    seed
        Where it starts.
    """

    seed: int = 1


@dataclass
class Method(Base):
    """A method.

    Parameters
    ----------
    code : str
        How splits are coded,
        in ``bits``.
    low, high
        Limits.

    Notes
    -----
    seed
        Not this one.
    """

    code: Literal["gray", "binary"] = "gray"
    low: float | None = None
    high: float = 2.5
    label: str | None = "x"
    fast: bool = True
    parts: list[int] = field(default_factory=list)
    hidden: int = field(default=3, init=False)


class Plain:
    def __init__(self, width, depth=3, *, name: str = "a", **rest):
        pass


def test_options_are_the_fields_of_a_dataclass():
    shown = [(o.name, o.type, o.default, o.doc) for o in options_of(Method, fixed=["high"])]
    assert shown == [
        ("seed", "int", "1", "Where it starts."),
        ("code", '"gray" or "binary"', "gray", "How splits are coded, in bits."),
        ("low", "float or none", "none", "Limits."),
        ("label", "str or none", "x", ""),
        ("fast", "bool", "true", ""),
        ("parts", "list[int]", "[]", ""),
    ]


def test_options_are_the_arguments_of_any_other_constructor():
    assert [str(o) for o in options_of(Plain)] == ["width (str, required)", "depth (int, 3)", "name (str, a)"]
    assert options_of(object) == ()


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (int, "50", 50),
        (float, "1e-3", 1e-3),
        (float, "7", 7.0),
        (bool, "yes", True),
        (bool, "false", False),
        (str, "none", "none"),
        (str | None, "none", None),
        (str | None, "text", "text"),
        (int | None, "None", None),
        (int | None, "3", 3),
        (str | int, "3", 3),
        (Literal["a", 2], "2", 2),
        (Literal["a", "b"] | None, "b", "b"),
        (Path, "x/y", Path("x/y")),
    ],
)
def test_values_have_the_type_of_the_field(annotation, text, value):
    got = from_text(annotation, text)
    assert got == value
    assert type(got) is type(value) or isinstance(value, Path)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [(int, "x"), (int, "1.5"), (int, ""), (bool, "2"), (Literal["a"], "b"), (int | None, "x"), (type(None), "x")],
)
def test_values_of_other_types_are_none(annotation, text):
    with pytest.raises(ValueError):
        from_text(annotation, text)


@method
class Checked:
    """A method whose options have limits."""

    seed: int = 1
    size: Annotated[int, Field(ge=2)] = 2
    rate: Probability = 0.5
    step: Factor = 1.0
    kind: Annotated[str, OneOf({"a": 1, "b": 2, "c": 3})] = "a"
    solver: Annotated[str, OneOf(lambda: ("x", "y"))] = "x"
    start: int | None = None

    def __post_init__(self):
        if self.size > 9 and self.kind == "c":
            raise InputError("c is for small sizes")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 1}, "Checked: size must be int >= 2, got 1"),
        ({"size": 2.5}, "Checked: size must be int >= 2, got 2.5"),
        ({"rate": 1.5}, "Checked: rate must be float >= 0 and <= 1, got 1.5"),
        ({"rate": math.nan}, "Checked: rate must be float >= 0 and <= 1, got nan"),
        ({"step": math.inf}, "Checked: step must be finite float > 0, got inf"),
        ({"kind": "d"}, 'Checked: kind must be "a", "b" or "c", got "d"'),
        ({"start": "soon"}, 'Checked: start must be int or none, got "soon"'),
        ({"size": 10, "kind": "c"}, "Checked: c is for small sizes"),
        ({"colour": "red"}, "Checked: \"colour\": unexpected keyword argument, got 'red'"),
    ],
)
def test_a_method_refuses_what_its_types_do_not_admit(given, sentence):
    with pytest.raises(InputError) as caught:
        Checked(**given)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == 2


def test_a_value_in_the_wrong_place_is_named_as_well():
    with pytest.raises(InputError, match=r"^Checked: size must be int >= 2, got 0$"):
        Checked(7, 0)


def test_a_method_is_a_frozen_dataclass_that_can_be_changed_and_sent():
    made = Checked(size=3)
    assert replace(made, rate=1) == Checked(size=3, rate=1.0)
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(FrozenInstanceError):
        made.size = 4
    with pytest.raises(InputError, match="rate must be"):
        replace(made, rate=2)


def test_names_are_those_of_the_table_or_of_the_machine():
    options = {option.name: option for option in options_of(Checked)}
    assert names_of(options["kind"]) == ("a", "b", "c")
    assert names_of(options["solver"]) == ("x", "y")
    assert options["solver"].type == "str"
    assert names_of(options_of(Method)[1]) == ("gray", "binary")


def test_types_in_words():
    assert type_in_words(int | None) == "int or none"
    assert type_in_words(Literal["a", 2]) == '"a" or 2'
    assert type_in_words(list[int]) == "list[int]"


def test_settings_follow_the_name():
    options = options_of(Method)
    assert settings("", options, "m") == ("", {})
    assert settings("DE:seed=3:label=", options, "m", "code") == ("DE", {"seed": "3", "label": ""})
    assert settings("label=http://x:80:seed=1", options, "m") == ("", {"label": "http://x:80", "seed": "1"})
    assert settings("label=a=b", options, "m") == ("", {"label": "a=b"})


@pytest.mark.parametrize(
    ("rest", "variant", "message"),
    [
        ("fast", "", r'^m takes option=value after a colon, got "fast"; it has seed \(int, 1\); code '),
        ("seed=1:seed=2", "", "^m: seed is set twice$"),
        ("gray:code=gray", "code", "^m: code is set twice$"),
        ("", "", None),
    ],
)
def test_what_does_not_follow_a_name(rest, variant, message):
    if message is None:
        assert settings(rest, (), "m", variant) == ("", {})
        return
    with pytest.raises(InputError, match=message):
        settings(rest, options_of(Method), "m", variant)


def test_unknown_options_and_wrong_values_are_answered_with_what_there_is():
    options = options_of(Method)
    assert values(options, {"seed": "4", "code": "binary"}, "m") == {"seed": 4, "code": "binary"}
    with pytest.raises(
        InputError,
        match=r'^m has no option "sed" \(did you mean "seed"\?\); it has seed \(int, 1\); code \("gray" or',
    ):
        values(options, {"sed": "4"}, "m")
    with pytest.raises(InputError, match=r'^m: code must be "gray" or "binary", got "morse"$'):
        values(options, {"code": "morse"}, "m")
    with pytest.raises(InputError, match=r"^m: parts must be list\[int\], got "):
        values(options, {"parts": "1"}, "m")
    with pytest.raises(InputError, match=r'^m has no option "x"; it has no options at all$'):
        values((), {"x": "1"}, "m")


@pytest.mark.parametrize("name", [name for kind, name in METHODS if kind == "placer"])
def test_no_value_of_an_option_is_an_accident(name):
    scenario = generate("paper", nodes=2, seed=1)
    for option in options(METHODS["placer", name]):
        for value in ("0", "-1", "nan", "1e-300", "inf"):
            with contextlib.suppress(DmcjiaError):
                solve(scenario, f"{name}:{option.name}={value}", stop=Stop(seconds=0.05, evaluations=10))
