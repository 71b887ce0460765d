"""What is said of a network beside its file: read off options, joined, and kept to names that it has."""

import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.networks.given import Given, parse_given


def test_options_are_read():
    given = parse_given(
        ["x=1x3x8x8", "2x0"], ["batch=1", "a=b=2"], ["sr=16000", "size=480, 640", "go=true"], ["boxes, scores", "boxes"]
    )
    assert given.input_shapes == {"x": (1, 3, 8, 8), "": (2, 0)}
    assert given.dims == {"batch": 1, "a=b": 2}
    assert given.input_values == {"sr": (16000.0,), "size": (480.0, 640.0), "go": (1.0,)}
    assert given.outputs == ("boxes", "scores")
    assert given
    assert not parse_given()


@pytest.mark.parametrize(
    ("option", "texts", "part"),
    [
        ("dims", ["batch"], "batch=1"),
        ("dims", ["batch=-1"], "batch=1"),
        ("dims", ["batch=" + "9" * 5000], "batch=1"),
        ("dims", ["n=1", "n=1"], 'the size of "n" is given twice'),
        ("input_values", ["=1"], "sr=16000"),
        ("input_values", ["sr="], "sr=16000"),
        ("input_values", ["sr=1", "sr=2"], 'the value of "sr" is given twice'),
        ("input_shapes", ["x=" + "9" * 5000], "malformed"),
    ],
)
def test_what_is_malformed_or_said_twice_is_refused(option, texts, part):
    with pytest.raises(InputError, match=part):
        parse_given(**{option: texts})


def test_what_is_said_of_one_network_comes_first():
    one = Given({"x": (1,)}, {"n": 2}, {"sr": (8.0,)})
    every = Given({"x": (3,), "sr": (1,)}, {"n": 3, "m": 4}, {"x": (5.0,), "go": (1.0,)}, ("y",))
    assert one.over(every) == Given({"x": (1,)}, {"n": 2, "m": 4}, {"sr": (8.0,), "go": (1.0,)}, ("y",))


def test_names_that_a_network_lacks_are_left_out():
    every = Given({"x": (3,), "z": (1,)}, {"n": 3, "m": 4}, {"sr": (1.0,)}, ("y", "w"))
    known = {"input_shapes": ["x", "sr"], "dims": ["m"], "input_values": ["x", "sr"], "outputs": ["w"]}
    assert every.among(known) == Given({"x": (3,)}, {"m": 4}, {"sr": (1.0,)}, ("w",))
