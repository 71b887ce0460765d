"""docs/file-formats.md has every key of every format, with its default, its choices and its range."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields, is_dataclass
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from annotated_types import Ge, Gt
from pydantic import BaseModel

from dmcjia_opt.base import errors
from dmcjia_opt.base.limits import FARTHEST, FILES, MOST, MOST_CHARACTERS, MOST_LAYERS, MOST_NODES, MOST_OPERATORS
from dmcjia_opt.bounds.proof.document import (
    _BranchFile,
    _OverloadFile,
    _PriceFile,
    _ProofFile,
    _RangeFile,
    _WeightsFile,
)
from dmcjia_opt.model.networks.measured import _COLUMNS as TIME_COLUMNS
from dmcjia_opt.model.networks.profile import _LayerFile, _ProfileFile, load_profile
from dmcjia_opt.model.networks.zoo import ZOO
from dmcjia_opt.model.scenario.families import generate
from dmcjia_opt.model.scenario.loading import Cloud, _File, load_scenario
from dmcjia_opt.model.scenario.node_columns import COLUMNS as NODE_COLUMNS
from dmcjia_opt.model.scenario.node_files import read_nodes
from dmcjia_opt.model.scenario.nodes import Node, NonNegative, Positive
from dmcjia_opt.model.scenario.references import Profiles, Reading
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.model.scenario.servers import Link, Server
from dmcjia_opt.solving.plan import PlanFile, PlanHeadFile
from dmcjia_opt.solving.said import Limits, Moment, NodeClaim, Provenance, ResourceClaim
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.studies.bench.archive import About
from dmcjia_opt.studies.bench.rows import Row
from dmcjia_opt.studies.bench.suites import Block
from dmcjia_opt.studies.deploy.manifest import HalfEntry, Manifest, NetworkEntry, NodeEntry, StageEntry
from dmcjia_opt.studies.deploy.run_result import result_of
from dmcjia_opt.studies.deploy.tensors import TensorEntry
from dmcjia_opt.studies.online.replay import replay
from dmcjia_opt.studies.purchase.size import MOST_ROWS, size
from dmcjia_opt.studies.simulation.arrivals import load_trace
from dmcjia_opt.studies.simulation.fleet import simulate
from dmcjia_opt.studies.simulation.result import content
from tests.docs.blocks import ROOT, blocks
from tests.studies.deploy.deployed import alone, deployed, imagined
from tools.fuzz.regression import _File as ProblemFile

PAGE = (ROOT / "docs" / "file-formats.md").read_text(encoding="utf-8")
#: What stands before the table of each model.
MODELS = {
    "### At the top": _File,
    "### `[cloud]`": Cloud,
    "### `[[servers]]`": Server,
    "### `[[links]]`": Link,
    "### `[options]`": Options,
    "### `[profiles]`": Profiles,
    "How networks are read, in": Reading,
    "### `[[nodes]]`": Node,
    "## Profile": _ProfileFile,
    "Each of `layers`:": _LayerFile,
    "What `verify` reads:": PlanHeadFile,
    "The lists of the nodes, where": PlanFile,
    "Each of `nodes`:": NodeClaim,
    "Each of `resources`:": ResourceClaim,
    "How it was made": Provenance,
    "`limits`, each null": Limits,
    "Each point of `trace`:": Moment,
    "Keys of the manifest:": Manifest,
    "Each of `networks`:": NetworkEntry,
    "Each of `halves`:": HalfEntry,
    "A tensor of a deployment:": TensorEntry,
    "Each node of a deployment:": NodeEntry,
    "Each of `stages`:": StageEntry,
    "## Proof": _ProofFile,
    "A branch on how many nodes of a class": _BranchFile,
    "A branch on how many nodes of all classes": _RangeFile,
    "A case closed by a price": _PriceFile,
    "A case that no plan fits": _OverloadFile,
    "The same where there are several resources": _WeightsFile,
    "One line of `rows.jsonl`": Row,
    "### Submission": About,
    "The fields of a block": Block,
    "## Problem": ProblemFile,
}


def table(lead: str) -> dict[str, list[str]]:
    """Return the first table after `lead`: its cells by key, a row of several keys once for each."""
    assert PAGE.count(lead) == 1, lead
    lines = PAGE[PAGE.index(lead) :].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = {}
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        rows |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), cells[1:])
    return rows


def keys_of(model) -> dict[str, object]:
    """Return the default of every key of a format; a required key has none."""
    if is_dataclass(model):
        return {
            one.name: ... if one.default is MISSING and one.default_factory is MISSING else one.default
            for one in fields(model)
        }
    assert issubclass(model, BaseModel)
    return {
        one.alias or name: ... if one.is_required() else one.get_default() for name, one in own_fields(model).items()
    }


def own_fields(model):
    """Return the fields that a model does not inherit: what it does has a table of its own."""
    return {name: one for name, one in model.model_fields.items() if name in vars(model)["__annotations__"]}


@pytest.mark.parametrize("lead", MODELS)
def test_every_key_is_there_and_no_other(lead):
    assert sorted(table(lead)) == sorted(keys_of(MODELS[lead]))


@pytest.mark.parametrize("lead", [lead for lead, model in MODELS.items() if model not in (Row, ProblemFile)])
def test_every_default_is_the_codes(lead):
    for key, default in keys_of(MODELS[lead]).items():
        told = table(lead)[key][1]
        if default is ...:
            assert told == "required", key
        elif default is None:
            assert told == "none", key
        elif isinstance(default, (str, bool, int, float, list, dict)):
            written = f'"{default}"' if isinstance(default, str) else str(default)
            assert told == f"`{written}`".replace("False", "false"), key
        else:
            assert told in ("see below", "no limits"), key


@pytest.mark.parametrize("lead", [lead for lead, model in MODELS.items() if not is_dataclass(model)])
def test_every_choice_and_every_range_is_told(lead):
    model = MODELS[lead]
    hints = get_type_hints(model, include_extras=True)
    for name, one in own_fields(model).items():
        told = " ".join(table(lead)[one.alias or name])
        for choice in choices(hints[name]):
            assert choice is True or f'"{choice}"' in told, (name, choice)
        limits = [limit for limit in one.metadata if isinstance(limit, (Gt, Ge))]
        if limits or hints[name] in (Positive, NonNegative):
            assert re.search(r"[>≥] 0|0 to|index from 0|count|layers", told), name
        if any(isinstance(limit, Gt) for limit in limits):
            assert "> 0" in told, name


def choices(hint) -> tuple[object, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(choice for part in get_args(hint) for choice in choices(part))


def test_columns_of_tables():
    assert tuple(table("### `[[nodes]]`")) == NODE_COLUMNS
    assert tuple(table("with these columns")) == TIME_COLUMNS


def test_limits():
    section = " ".join(PAGE[PAGE.index("## Limits") : PAGE.index("## Scenario")].split())
    for what, (most, _) in FILES.items():
        if what not in ("the description of the run", "the library"):  # files of this package's own
            size = f"{most >> 30} GiB" if most >= 1 << 30 else f"{most >> 20} MiB"
            assert f"| {what.removeprefix('the ')} | {size} |" in section, what
    for number in (MOST_NODES, MOST_LAYERS, MOST_OPERATORS, MOST_CHARACTERS):
        assert f"{number:,} " in section
    assert f"{1 / MOST:g} and {MOST:g}".replace("+", "") in section
    assert f"{FARTHEST:g}".replace("+", "") in section


def test_the_zoo_is_named():
    (sentence,) = re.findall(r"The zoo has (.*?)\.", PAGE)
    assert sorted(re.findall(r"`(\w+)`", sentence)) == sorted(ZOO)


def test_keys_of_a_simulation():
    scenario = generate("paper", nodes=2, seed=1)
    found = content({"plan.json": simulate(scenario, solve(scenario), tasks=5000)})
    told = table("## Simulation")
    (plan,) = found["plans"]
    assert set(plan) == set(told)
    assert set(plan["nodes"][0]) == set(table("Each node of a simulation:"))
    for key in found:
        assert f"`{key}`" in PAGE[PAGE.index("## Simulation") :]


def test_keys_of_a_replay():
    found = replay(generate("paper", nodes=2, seed=1), "markov:5", ("static",)).to_dict()
    assert set(found) == set(table("Keys of a replay:"))
    assert set(found["policies"][0]) == set(table("Each policy of a replay:"))


def test_keys_of_a_size():
    found = size(generate("paper", nodes=2, seed=1), deadline_ms=900).to_dict()
    assert set(found) == set(table("Keys of a size:"))
    assert set(found["details"][0]) == set(table("Each of `details`:"))
    assert set(found["nodes"][0]) == set(table("Each node of a size:"))
    assert f"{MOST_ROWS:,} nodes" in PAGE


def test_keys_of_a_run(tmp_path):
    deployed(tmp_path, alone(splits=[1]))
    found = result_of(imagined(tmp_path / "dep")).to_dict()
    assert set(found) == set(table("## Run"))
    (node,) = found["nodes"]
    assert set(node) == set(table("Each node of a run"))
    of_a_stage = PAGE[PAGE.index("Each node of a run") :]
    for key in node["stages"][0]:
        assert f"`{key}`" in of_a_stage, key


def test_the_examples_are_read(tmp_path):
    for block in blocks("docs/file-formats.md"):
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text(block.code, encoding="utf-8")
    assert load_scenario(tmp_path / "scenario.toml").n_nodes == 1
    assert read_nodes(tmp_path / "nodes.csv").names == ("gate", "yard")
    assert load_profile(tmp_path / "profile.json").n_layers == 2
    load_trace(tmp_path / "arrivals.csv")


def test_exit_codes():
    page = (ROOT / "docs" / "api" / "errors.md").read_text(encoding="utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DmcjiaError)]
    assert {kind.exit_code for kind in kinds} <= told
