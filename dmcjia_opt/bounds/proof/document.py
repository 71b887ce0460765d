"""What a proof says: prices of the resources, and a tree of cases over how many nodes of a class use an option.

With one cloud an option is a split, which is what files call it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Discriminator, FailFast, Field, Tag

from dmcjia_opt.base.fields import Amount, Number
from dmcjia_opt.base.files import read_json, write_text
from dmcjia_opt.base.showing import brief

_Count = Annotated[int, Field(ge=0, le=2**31 - 1)]

#: A price, or one for each resource; told apart by their types, so that a mistake is told of the one that was meant.
_Prices = Annotated[
    Annotated[Amount, Tag("")] | Annotated[list[Amount], Field(min_length=1), Tag("prices")],
    Discriminator(lambda value: "prices" if isinstance(value, list) else ""),
]

#: A price for each resource, s per unit share.
Prices = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """Two cases: at most `most` nodes of class `index` use `option`, told first, or more than that.

    Where `index` is None, nodes of all classes count, or those of one `menu`, and who uses an option before `option`
    counts too.

    Examples
    --------
    >>> from dmcjia_opt.bounds.proof.document import Branch
    >>> Branch(index=0, option=16, most=2)
    Branch(index=0, option=16, most=2, menu=None)
    """

    index: int | None
    option: int
    most: int
    menu: int | None = None


class Charge(NamedTuple):
    """What every node, or every one of a menu, that uses an option or one before it is charged besides, s.

    It is for a limit of the case on how many nodes do; negative where the case asks for a least number.

    Examples
    --------
    >>> from dmcjia_opt.bounds.proof.document import Charge
    >>> Charge(option=3, amount=0.01)
    Charge(option=3, amount=0.01, menu=None)
    """

    option: int
    amount: float
    menu: int | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """A case closed at one vector of prices; None where it is closed because no plan of it can be carried.

    Parameters
    ----------
    price
        Which of the proof's prices.
    charges
        What nodes are charged besides.
    weights
        (n_resources,) where no plan can be carried, the weights ≥ 0 of the resources' shares in the sum that every
        plan has too large; they may be left out where there is one resource.

    Examples
    --------
    >>> from dmcjia_opt.bounds.proof.document import Leaf
    >>> Leaf(price=0)
    Leaf(price=0, charges=(), weights=())
    """

    price: int | None
    charges: tuple[Charge, ...] = ()
    weights: Prices = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof of a lower bound.

    Classes are the groups of nodes with the same tables, menus those of nodes that use the same resources at as many
    options; both are numbered by their first node. They are not written down: who checks the proof forms them anew.

    Parameters
    ----------
    scenario_sha256
        Hash of the content of the scenario it is about.
    bound
        What it proves, s.
    prices
        Vectors of prices; files write one of a single resource as a number.
    tree
        Cases in preorder.

    Examples
    --------
    >>> from dmcjia_opt import generate, prove, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> proof = prove(scenario, solve(scenario))
    >>> proof.tree
    (Leaf(price=0, charges=(), weights=()),)
    """

    scenario_sha256: str
    bound: float
    prices: tuple[Prices, ...]
    tree: tuple[Branch | Leaf, ...]

    __repr__ = brief

    @property
    def leaves(self) -> int:
        """Number of cases that are closed by a price or by overload."""
        return sum(isinstance(node, Leaf) for node in self.tree)

    def save(self, path: str | Path) -> None:
        """Write the proof as JSON; the file appears whole or not at all."""
        tree = [_branch_json(node) if isinstance(node, Branch) else _leaf_json(node) for node in self.tree]
        head = {
            "format": "dmcjia-proof-1",
            "scenario_sha256": self.scenario_sha256,
            "bound_s": self.bound,
            "prices_s": [prices[0] if len(prices) == 1 else list(prices) for prices in self.prices],
        }
        lines = ",\n  ".join(json.dumps(node) for node in tree)
        text = json.dumps(head, indent=1, allow_nan=False)[:-2] + ',\n "tree": [\n  ' + lines + "\n ]\n}\n"
        write_text(path, text)


def _branch_json(branch: Branch) -> dict[str, Any]:
    if branch.index is None:
        whose = {} if branch.menu is None else {"menu": branch.menu}
        return {"up_to": branch.option, "most": branch.most, **whose}
    return {"class": branch.index, "split": branch.option, "most": branch.most}


def _leaf_json(leaf: Leaf) -> dict[str, Any]:
    if leaf.price is None:
        return {"overload": list(leaf.weights) or True}
    charged = {"charges_s": [charge[: 2 if charge.menu is None else 3] for charge in leaf.charges]}
    charged = charged if leaf.charges else {}
    return {"price": leaf.price, **charged}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _BranchFile(_Strict):
    index: _Count = Field(alias="class")
    split: _Count
    most: _Count


class _RangeFile(_Strict):
    up_to: _Count
    most: _Count
    menu: _Count | None = None


#: A pair, or three with the menu; told apart by how many they are, so that a mistake is told of what was meant.
_Charge = Annotated[
    Annotated[tuple[_Count, Number], Tag("")] | Annotated[tuple[_Count, Number, _Count], Tag("of a menu")],
    Discriminator(lambda value: "of a menu" if isinstance(value, list) and len(value) > 2 else ""),
]


class _PriceFile(_Strict):
    price: _Count
    charges_s: Annotated[list[_Charge], FailFast()] = []


class _OverloadFile(_Strict):
    overload: Literal[True]


class _WeightsFile(_Strict):
    overload: Annotated[list[Amount], Field(min_length=1), FailFast()]


_KINDS = {"class": "branch", "up_to": "range", "overload": "overload"}


def _kind(case: object) -> str:
    """Return what a case of the tree is, by the key that only its kind has; so that mistakes are told of that kind."""
    if not isinstance(case, dict):
        return ""
    kind = next((kind for key, kind in _KINDS.items() if key in case), "")
    return "weights" if kind == "overload" and isinstance(case["overload"], list) else kind


_Case = Annotated[
    Annotated[_BranchFile, Tag("branch")]
    | Annotated[_RangeFile, Tag("range")]
    | Annotated[_OverloadFile, Tag("overload")]
    | Annotated[_WeightsFile, Tag("weights")]
    | Annotated[_PriceFile, Tag("")],
    Discriminator(_kind),
]


class _ProofFile(_Strict):
    format: Literal["dmcjia-proof-1"]
    scenario_sha256: str
    bound_s: Number
    prices_s: Annotated[list[_Prices], FailFast()]
    tree: Annotated[list[_Case], FailFast()]


def load_proof(path: str | Path) -> Proof:
    """Read a proof; nothing about it is checked yet but its form.

    Raises
    ------
    InputError
        If the file is missing, too large, is not JSON or breaks the format; the message names the field.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_proof, prove, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> prove(scenario, solve(scenario)).save("proof.json")
    >>> load_proof("proof.json").leaves
    1
    """
    read = read_json(path, "the proof", _ProofFile)
    tree = tuple(_case(node) for node in read.tree)
    prices = tuple(tuple(one) if isinstance(one, list) else (one,) for one in read.prices_s)
    return Proof(read.scenario_sha256, read.bound_s, prices, tree)


def _case(node: _BranchFile | _RangeFile | _OverloadFile | _WeightsFile | _PriceFile) -> Branch | Leaf:
    if isinstance(node, _BranchFile):
        return Branch(node.index, node.split, node.most)
    if isinstance(node, _RangeFile):
        return Branch(None, node.up_to, node.most, node.menu)
    if isinstance(node, _OverloadFile):
        return Leaf(None)
    if isinstance(node, _WeightsFile):
        return Leaf(None, weights=tuple(node.overload))
    return Leaf(node.price, tuple(Charge(*charge) for charge in node.charges_s))
