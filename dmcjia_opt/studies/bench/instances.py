"""Instances by name: whoever has the name and this package has the instance, and its hash says that it is the same.

A name is what `generate` calls its scenario, and options after a plus sign: ``paper-n20-s3``,
``near-epsilon0.01-n40-s1``, ``links-links5-n100-s1``, ``scarce-n20-s1+mm1+cloud-faster``. They are values of a
scenario's options, such as ``+tandem+p95+worst``, a deadline of all nodes in ms, ``+deadline800``, tasks that arrive
periodically at every node, ``+periodic``, or servers that nodes do not share in parts, ``+fifo`` or ``+ps``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from pydantic import ValidationError

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.base.files import explain
from dmcjia_opt.base.limits import MOST_NODES
from dmcjia_opt.model.quantiles import PERCENTILES
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.families import FAMILIES, generate
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import Options, Scenario

_NAME = re.compile(
    r"(?P<family>[a-z]+)(?:-(?P<tasks>imagenet|table4))?(?:-(?P<kind>alike|knapsack|cells))?"
    r"(?:-epsilon(?P<epsilon>[\d.]+(?:e[+-]?\d+)?))?"
    r"(?:-cloud(?P<cloud>[\d.]+(?:e[+-]?\d+)?))?(?:-links(?P<links>\d+))?(?:-servers(?P<servers>\d+))?-n(?P<nodes>\d+)-s(?P<seed>\d+)(?P<options>(?:\+[a-z0-9.-]+)*)"
)
_DEADLINE = re.compile(r"deadline([1-9]\d*)")
_PERIODIC, _SHARINGS = "periodic", ("fifo", "ps")
#: Options that make a family of their own, and what it is called: the first that a name has, or else its percentile.
_ASPECTS = {"worst": "worst", "deadline": "deadline", "fifo": "pooled", "ps": "pooled", "periodic": "periodic"}
#: The family of a user's own scenario.
OWN = "own"


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One instance of a benchmark.

    Parameters
    ----------
    name, family
        As rows have them.
    n_nodes
        Size.
    sha256
        Hash of the scenario's content.
    scenario
        A user's own; None where the name is enough to generate it.
    """

    name: str
    family: str
    n_nodes: int
    sha256: str
    scenario: Scenario | None = None

    def load(self) -> Scenario:
        """Return the scenario.

        Raises
        ------
        InputError
            If it is not the scenario that the hash was taken of.
        """
        if self.scenario is not None:
            return self.scenario
        scenario = generated(self.name)
        if scenario.sha256() != self.sha256:
            raise InputError(
                f'the instance "{self.name}" generated here is not the one the library\'s hash was taken of; '
                "update the library, or use the version of this package that it was made with"
            )
        return scenario


def is_name(text: str) -> bool:
    """Return whether `text` reads as the name of a generated instance."""
    match = _NAME.fullmatch(text)
    return match is not None and match["family"] in FAMILIES


def family_and_nodes(name: str) -> tuple[str, int]:
    """Return the family and the number of nodes that a name stands for.

    Promises, pooled servers and periodic arrivals are families of their own, whatever fleet they are asked of.
    """
    match = _match(name)
    words = [word.rstrip("0123456789") if _DEADLINE.fullmatch(word) else word for word in match["options"].split("+")]
    aspects = [_ASPECTS[word] for word in _ASPECTS if word in words]
    percentiles = [word for word in words if word in PERCENTILES]
    return (*aspects, *percentiles, match["family"])[0], int(match["nodes"])


@lru_cache(maxsize=2)
def generated(name: str) -> Scenario:
    """Return the scenario that a name stands for.

    Raises
    ------
    InputError
        If it is no such name.
    """
    match = _match(name)
    options: dict[str, Any] = {
        "tasks": match["tasks"],
        "kind": match["kind"],
        "epsilon": float(match["epsilon"]) if match["epsilon"] else None,
        "cloud_gflops": float(match["cloud"]) if match["cloud"] else None,
        "links": int(match["links"]) if match["links"] else None,
        "servers": int(match["servers"]) if match["servers"] else None,
    }
    scenario = generate(match["family"], nodes=int(match["nodes"]), seed=int(match["seed"]), **options)
    if scenario.name + match["options"] != name:
        raise InputError(f'write the instance "{name}" as "{scenario.name}{match["options"]}"')
    return _with_options(scenario, name, match["options"][1:].split("+")) if match["options"] else scenario


def _with_options(scenario: Scenario, name: str, words: Sequence[str]) -> Scenario:
    """Return the scenario with what each word after a plus sign changes."""
    settings: dict[str, str] = {}
    nodes = scenario.nodes
    for word in words:
        if found := _DEADLINE.fullmatch(word):
            least = np.fmin(nodes.deadline_ms, float(found[1]))
            nodes = replace(nodes, deadline_ms=least)
        elif word == _PERIODIC:
            nodes = replace(nodes, arrivals=np.zeros(scenario.n_nodes))
        elif word in _SHARINGS:
            kind = cast(Sharing, word)
            servers = tuple(server.model_copy(update={"sharing": kind}) for server in scenario.servers)
            scenario = replace(scenario, cloud_sharing=kind, servers=servers)
        else:
            key, value = _option(word)
            settings[key] = value
    try:
        options = Options.model_validate(scenario.options.model_dump() | settings)
    except ValidationError as error:
        raise InputError(f'the instance "{name}": {explain(error)}') from None
    return replace(scenario, options=options, nodes=nodes, name=name)


def instance(name: str, hashes: dict[str, str]) -> Instance:
    """Return the instance called `name`; its hash is looked up in `hashes`, or taken."""
    family, nodes = family_and_nodes(name)
    return Instance(name, family, nodes, hashes.get(name) or generated(name).sha256())


def own_instances(path: Path, *, outside: bool = False) -> list[Instance]:
    """Return the scenarios of a TOML file or of all TOML files of a folder, each called by its file's stem.

    Whether they may refer to files outside their folder is `outside`, see `load_scenario`.

    Raises
    ------
    InputError
        If there is none, or one is malformed.
    """
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: no scenario (.toml) in this folder")
    found = []
    for file in files:
        scenario = load_scenario(file, outside=outside)
        found.append(Instance(file.stem, OWN, scenario.n_nodes, scenario.sha256(), scenario))
    return found


def named(names: Sequence[str], hashes: dict[str, str], *, outside: bool = False) -> list[Instance]:
    """Return the instances that the command line names: files, folders, generated names; `outside` as of a scenario.

    Raises
    ------
    InputError
        If one is neither, or two are called the same.

    Warns
    -----
    Doubt
        If one equals another; it is left out, because all of its runs would be those of the other.
    """
    found: list[Instance] = []
    for name in names:
        path = Path(name)
        if path.suffix == ".toml" or path.is_dir():
            found += own_instances(path, outside=outside)
        elif is_name(name):
            found.append(instance(name, hashes))
        else:
            raise InputError(
                f'"{name}" is neither a scenario file, nor a folder of them, nor the name of an instance such as '
                "paper-n20-s3"
            )
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f'two instances are called "{twice}"; rename one of the files')
    first: dict[str, Instance] = {}
    for each in found:
        if (same := first.setdefault(each.sha256, each)) is not each:
            warnings.warn(f'the instance "{each.name}" equals "{same.name}" and is left out', Doubt, stacklevel=2)
    return list(first.values())


def _match(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    if match is None or match["family"] not in FAMILIES:
        raise InputError(
            f'"{name}" is not the name of an instance; write FAMILY-nNODES-sSEED, such as paper-n20-s3, with a family '
            f"of {', '.join(FAMILIES)}"
        )
    if int(match["nodes"]) > MOST_NODES:
        raise InputError(f'the instance "{name}" has more than {MOST_NODES:,} nodes')
    return match


def _option(word: str) -> tuple[str, str]:
    words = {
        value: key
        for key, field in Options.model_fields.items()
        for value in get_args(field.annotation)
        if isinstance(value, str)
    }
    if word not in words:
        known = ", ".join(f"+{known}" for known in words)
        raise InputError(
            f'an instance has no option "+{word}"; choose one of {known}, +periodic, +fifo, +ps, or a deadline such as '
            "+deadline800"
        )
    return words[word], word
