"""Proof files: written, read back, and refused with a sentence."""

import json

import pytest

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import FILES
from dmcjia_opt.bounds.proof.document import Branch, Charge, Leaf, Proof, load_proof

PROOF = Proof(
    "abc",
    0.1 + 0.2,
    ((1 / 3,), (5e-324,)),
    (Branch(0, 2, 1), Leaf(0), Branch(None, 0, 0), Leaf(None), Leaf(1, (Charge(3, -0.5),))),
)


SEVERAL = Proof("abc", 0.5, ((1 / 3, 0.0),), (Branch(0, 1, 0), Leaf(0), Leaf(None, weights=(1.0, 1 / 3))))
MENUS = Proof(
    "abc", 0.5, ((1.0, 2.0),), (Branch(None, 3, 1, 1), Leaf(0, (Charge(3, 0.5, 1), Charge(2, -1.0))), Leaf(0))
)


def test_read_is_what_was_written(tmp_path):
    PROOF.save(tmp_path / "proof.json")
    assert load_proof(tmp_path / "proof.json") == PROOF
    assert PROOF.leaves == 3
    SEVERAL.save(tmp_path / "several.json")
    assert load_proof(tmp_path / "several.json") == SEVERAL
    MENUS.save(tmp_path / "menus.json")
    assert load_proof(tmp_path / "menus.json") == MENUS
    assert '{"overload": true}' in (tmp_path / "proof.json").read_text()
    assert '{"overload": [1.0, ' in (tmp_path / "several.json").read_text()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "dmcjia-proof-9"}, '"format"'),
        ({"prices_s": [-1.0]}, r'"prices_s\[0\]"'),
        ({"prices_s": [float("nan")]}, "proof.json"),
        ({"tree": [{"price": -1}]}, r"tree\[0\]"),
        ({"tree": [{"overload": False}]}, r"tree\[0\]"),
        ({"tree": [{"overload": []}]}, r"tree\[0\]"),
        ({"tree": [{"overload": [1.0, -1.0]}]}, r"tree\[0\]\.weights\.overload\[1\]"),
        ({"tree": [{"class": 0, "split": 1}]}, r"tree\[0\]"),
        ({"tree": [{"price": 0, "charges_s": [[0, -1e308]]}]}, r'"tree\[0\].charges_s\[0\]\[1\]": must lie between'),
        ({"tree": [{"price": 0, "charges_s": [[0, 1.01e100]]}]}, r"must lie between -1e\+100 and 1e\+100"),
        ({"prices_s": [1.7e308]}, r"must lie between"),
        ({"prices_s": [[0.5, 1e101]]}, r"must lie between"),
        ({"bound_s": -1e200}, '"bound_s": must lie between'),
        ({"more": 1}, 'unknown key "more"'),
        ({"bound_s": "0.3"}, '"bound_s"'),
    ],
)
def test_a_malformed_file_is_one_sentence(tmp_path, change, why):
    PROOF.save(tmp_path / "proof.json")
    content = json.loads((tmp_path / "proof.json").read_text()) | change
    (tmp_path / "proof.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=why) as caught:
        load_proof(tmp_path / "proof.json")
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="cannot read the proof"):
        load_proof(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text('{"format": "dmc')
    with pytest.raises(InputError, match=r"torn\.json"):
        load_proof(tmp_path / "torn.json")
    PROOF.save(tmp_path / "large.json")
    monkeypatch.setitem(FILES, "the proof", (10, "shorten it"))
    with pytest.raises(InputError, match="is refused"):
        load_proof(tmp_path / "large.json")
