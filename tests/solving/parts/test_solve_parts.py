import math
from functools import partial

import numpy as np
import pytest
from pyarrow import parquet

from dmcjia_opt.base import clusters
from dmcjia_opt.base.errors import BackendFailed, InfeasibleError, InputError
from dmcjia_opt.bounds.certificate import lower_bound
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.drawn_parts import generate_parts
from dmcjia_opt.model.scenario.families import FamilyOptions, generate
from dmcjia_opt.model.scenario.loading import load_parts
from dmcjia_opt.model.scenario.node_files import write_nodes
from dmcjia_opt.model.scenario.nodes import Labels
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.solving.fleets import part_of
from dmcjia_opt.solving.parts.auditing import audit
from dmcjia_opt.solving.parts.crews import Foreman, crew_here, in_process
from dmcjia_opt.solving.parts.dask_crew import crew_on_dask
from dmcjia_opt.solving.parts.solve_parts import solve_parts
from dmcjia_opt.solving.plan import load_claims
from dmcjia_opt.solving.solve import solve
from tests.solving.parts.conftest import NODES, PART, planned
from tests.solving.parts.dying import Dying

SAME = ("objective", "lower_bound", "worst_delay", "scenario_sha256", "evaluations")


def assert_same(one, other):
    assert {key: getattr(one, key) for key in SAME} == {key: getattr(other, key) for key in SAME}
    assert (one.prices == other.prices).all()
    assert (one.total.used == other.total.used).all()


def rows(path):
    return parquet.read_table(path).to_pandas()


def test_a_plan_of_parts_is_as_good_as_that_of_the_whole(plan, whole, folder):
    assert plan.status == Status.OPTIMAL
    together = solve(whole)
    assert math.isclose(plan.objective, together.objective, rel_tol=1e-10)
    problem = compile_problem(whole)
    assert plan.lower_bound <= together.objective
    assert math.isclose(plan.lower_bound, lower_bound(problem, plan.prices), rel_tol=1e-12)
    written = rows(folder / "plan.parquet")
    assert written.name.tolist() == list(whole.nodes.names)
    options, shares = written.split.to_numpy(), written.share.to_numpy()
    assert problem.residuals(options, shares[:, None]).feasible
    assert math.isclose(problem.objective(options, shares[:, None]), plan.objective, rel_tol=1e-12)
    assert (options == together.splits).mean() > 0.999
    assert parquet.ParquetFile(folder / "plan.parquet").num_row_groups == math.ceil(NODES / PART)


def test_memory_decides_nothing(plan, parted, folder):
    again = planned(parted, in_process(parted, most=0), folder / "again.parquet")
    assert_same(plan, again)
    assert rows(folder / "again.parquet").equals(rows(folder / "plan.parquet"))


def test_two_processes_plan_the_same(plan, parted, folder):
    with crew_here(parted, 2) as crew:
        again = planned(parted, crew, folder / "two.parquet")
        assert_same(plan, again)
        left = Foreman(parted, crew).each("ask")  # what is left unheard keeps nobody
        with pytest.raises(BackendFailed, match="part-0"):
            next(left)
        assert_same(plan, planned(parted, crew))
        met = interrupted(parted, crew)
        assert met.status == Status.LIMIT
        assert met.lower_bound <= plan.objective <= met.objective * (1 + 1e-12)
    assert rows(folder / "two.parquet").equals(rows(folder / "plan.parquet"))


def interrupted(parted, crew):
    """Return the plan of a search that is interrupted in the middle of the first pass after a plan was met."""
    points = []

    def progress(part, of):
        if part == 2 and any(math.isfinite(point.objective) for point in points):
            points.clear()
            raise KeyboardInterrupt

    return solve_parts(Foreman(parted, crew, progress), callback=points.append)


def test_a_worker_that_is_lost_changes_nothing(plan, parted, folder, tmp_path):
    mark = tmp_path / "died"
    with crew_on_dask(parted, "local:2", Dying(mark)) as crew:
        again = planned(parted, crew, folder / "dask.parquet")
    assert mark.exists()
    assert_same(plan, again)
    assert rows(folder / "dask.parquet").equals(rows(folder / "plan.parquet"))


def test_a_process_that_is_lost_is_told(parted, tmp_path):
    lost = pytest.raises(BackendFailed, match="a process that priced parts of the fleet ended")
    with lost, crew_here(parted, 2, Dying(tmp_path / "died")) as crew:
        planned(parted, crew)


@pytest.mark.parametrize("address", ["local:", "local:0", "local:two"])
def test_no_cluster_is_told(parted, address):
    with pytest.raises(InputError, match="as in local:2"), crew_on_dask(parted, address):
        pass


def test_a_scheduler_that_is_not_there_is_told(parted, monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", 0.2)
    with pytest.raises(BackendFailed, match="no Dask scheduler answers"), crew_on_dask(parted, "tcp://127.0.0.1:1"):
        pass


def test_what_was_met_before_an_interrupt_is_kept(plan, parted, folder):
    def interrupt(point):
        if math.isfinite(point.objective):
            raise KeyboardInterrupt

    for met in (planned(parted, callback=interrupt), planned(parted, stop=Stop(seconds=0.0))):
        assert met.status == Status.LIMIT
        assert met.evaluations < plan.evaluations
        assert met.lower_bound <= plan.objective <= met.objective * (1 + 1e-12)
        assert met.total.used[0] == pytest.approx(1.0, abs=1e-12)
        assert met.gap < 0.1


def test_links_of_all_parts_are_shared_by_all(tmp_path):
    fleet = generate("links", nodes=600, links=6, seed=2)
    (tmp_path / "nodes").mkdir()
    nodes = fleet.nodes
    order = np.argsort(nodes.link.index, kind="stable")  # so that no part has them all
    for place, some in enumerate(np.array_split(order, 3)):
        columns = {key: getattr(nodes, key)[some] for key in ("compute_gflops", "uplink_mbps", "arrival_rate")}
        link = Labels.of([nodes.link.at(int(d)) for d in some])
        part = type(nodes)(names=tuple(nodes.names[d] for d in some), networks=nodes.networks, link=link, **columns)
        write_nodes(tmp_path / "nodes" / f"{place}.parquet", part)
    fleet.save(tmp_path / "fleet.toml", nodes_file="nodes")
    parted = load_parts(tmp_path / "fleet.toml", most=0)
    plan = planned(parted, out=tmp_path / "plan.parquet")
    together = solve(load_parts(tmp_path / "fleet.toml"), "lagrangian")
    assert [resource.name for resource in plan.resources] == ["cloud", *(f"cell-{k}" for k in range(1, 7))]
    assert (plan.total.used <= 1.0).all()
    assert plan.total.used == pytest.approx(1.0, abs=1e-9)
    assert plan.lower_bound <= together.objective
    assert plan.objective == pytest.approx(together.objective, rel=1e-3)
    row = rows(tmp_path / "plan.parquet").iloc[0]
    assert {entry["resource"] for entry in row.shares} <= {nodes.link.at(int(order[0])), "cloud"}
    plan.save(tmp_path / "plan.json", "plan.parquet")
    found = audit(Foreman(parted, in_process(parted)), load_claims(tmp_path / "plan.json"), tmp_path / "plan.parquet")
    assert all(check.true for check in found.checks)


def test_a_fleet_without_a_plan_is_told(tmp_path):
    little = FamilyOptions(cloud_gflops=1e-3)
    scenario = generate_parts(tmp_path / "nodes", "fleet", nodes=40, part_nodes=20, options=little)
    scenario.save(tmp_path / "fleet.toml", nodes_file="nodes")
    with pytest.raises(InfeasibleError, match="no plan exists: every plan loads what is shared to"):
        planned(load_parts(tmp_path / "fleet.toml", most=0))


@pytest.mark.parametrize("options", [{"placer": "dmcjia"}, {"allocator": "alm"}])
def test_methods_for_memory_are_refused(parted, options):
    with pytest.raises(InputError, match="a fleet in parts is planned by the"):
        planned(parted, **options)


@pytest.mark.slow
def test_jax_prices_parts_too(plan, parted):
    pytest.importorskip("jax")
    again = planned(parted, in_process(parted, partial(part_of, backend="jax")))
    assert again.status == Status.OPTIMAL
    assert again.objective == pytest.approx(plan.objective, rel=1e-9)
    assert again.lower_bound == pytest.approx(plan.lower_bound, rel=1e-9)
