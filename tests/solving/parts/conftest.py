from pathlib import Path

import pytest

from dmcjia_opt.model.scenario.drawn_parts import generate_parts
from dmcjia_opt.model.scenario.loading import load_parts, load_scenario
from dmcjia_opt.model.scenario.parted import PartedScenario
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.node_rows import write_rows
from dmcjia_opt.solving.parts.crews import Foreman, in_process
from dmcjia_opt.solving.parts.solve_parts import PartedPlan, solve_parts

NODES, PART = 4500, 1000


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Return a folder with the scenario of a fleet in five parts."""
    found = tmp_path_factory.mktemp("fleet")
    scenario = generate_parts(found / "nodes", "fleet", nodes=NODES, part_nodes=PART, seed=3)
    scenario.save(found / "fleet.toml", nodes_file="nodes")
    return found


@pytest.fixture(scope="session")
def parted(folder: Path) -> PartedScenario:
    found = load_parts(folder / "fleet.toml", most=1000)
    assert isinstance(found, PartedScenario)
    return found


@pytest.fixture(scope="session")
def whole(folder: Path) -> Scenario:
    return load_scenario(folder / "fleet.toml")


def planned(parted: PartedScenario, crew=None, out: Path | None = None, **options) -> PartedPlan:
    """Return the plan of a fleet in parts, its rows written if there is somewhere to write them."""
    keep = None if out is None else lambda tables: write_rows(out, tables)
    return solve_parts(Foreman(parted, crew or in_process(parted)), keep=keep, **options)


@pytest.fixture(scope="session")
def plan(folder: Path, parted: PartedScenario) -> PartedPlan:
    """Return the plan of one process; its rows are in plan.parquet."""
    found = planned(parted, out=folder / "plan.parquet")
    found.save(folder / "plan.json", "plan.parquet")
    return found
