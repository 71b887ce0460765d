"""What is true about a plan of a fleet in parts: its rows, part by part, and the bound that its prices prove."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.showing import brief
from dmcjia_opt.bounds.certificate import judge
from dmcjia_opt.bounds.dual import LEAST_PRICE, MOST_PRICE, Sums, rounding_slack
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.parquet_nodes import names_in
from dmcjia_opt.model.scenario.parted import Surveyed
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.uplinks import Stages
from dmcjia_opt.solving.choices import Choices, choices_of
from dmcjia_opt.solving.node_rows import STAGES, rows_in
from dmcjia_opt.solving.parts.crews import Foreman
from dmcjia_opt.solving.parts.shelf import Shelf
from dmcjia_opt.solving.parts.totals import Totals, fits, together, totals_of
from dmcjia_opt.solving.plan import PlanHeadFile
from dmcjia_opt.solving.verifying import (
    CLAIM_TOLERANCE,
    Check,
    check_aims,
    check_bound,
    check_gap,
    check_objective,
    check_price,
    check_resources,
    check_rule,
    check_status,
)


@dataclass(frozen=True, slots=True, eq=False)
class PartRows:
    """PartRows of a part, taken up again: what its nodes do, recomputed.

    Parameters
    ----------
    scenario, fleet
        The part.
    table
        The rows, of Arrow's.
    problem
        The problem of the options that the rows say, one a node.
    choices, delays
        What the nodes do, and their delays by stage, s.
    names
        (n_nodes,) what they are called, an array of Arrow's.
    """

    scenario: Scenario
    fleet: Fleet
    table: Any
    problem: Problem
    choices: Choices
    delays: Stages
    names: Any


def taken_up(shelf: Shelf, place: int, path: Path) -> PartRows:
    """Return the rows of a part in a file of rows.

    Raises
    ------
    InputError
        If the file is not of this fleet, or says what no node of it can do.
    """
    scenario, fleet, part = shelf.parted.scenario(place), shelf.part(place).fleet, shelf.parted.files[place]
    with rows_in(path) as file:
        sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        if sizes != [each.n_nodes for each in shelf.parted.files]:
            raise InputError(
                f"{path}: {sum(sizes):,} rows in {len(sizes)} groups, and the fleet has {shelf.parted.n_nodes:,} nodes "
                f"in {len(shelf.parted.files)} parts; verify a plan with the scenario it was made for"
            )
        table = file.read_row_group(place).unify_dictionaries().combine_chunks()
    try:
        options = options_in(scenario, table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    none = np.zeros(len(options), dtype=np.int64)
    problem = fleet.at(options)
    shares = shares_in(path, problem, table)
    choices = choices_of(scenario, problem, none, shares, options)
    return PartRows(scenario, fleet, table, problem, choices, problem.breakdown(none, shares), names_in(part))


def options_in(scenario: Scenario, table: Any) -> IntArray:  # noqa: ANN401 - of Arrow's
    """Return the option (n_nodes,) of every node that has the cuts and the server of a row."""
    menus, servers = scenario.menus, [server.name for server in scenario.all_servers]
    width = max(menu.cuts.shape[1] for menu in menus.kinds)
    cuts = np.full((len(table), width), -1, dtype=np.int64)
    cuts[:, 0] = table.column("split").to_numpy()
    if width > 1:
        if "cuts" not in table.column_names:
            raise InputError("column cuts is missing, and networks are cut twice")
        lists = table.column("cuts").combine_chunks()
        counts = np.diff(lists.offsets.to_numpy())
        at = np.arange(width) < np.minimum(counts, width)[:, None]
        if (counts > width).any() or (counts < 1).any():
            raise InputError(f"cuts must hold 1 to {width} whole numbers")
        cuts[at] = lists.flatten().to_numpy(zero_copy_only=False)
    texts = table.column("server").combine_chunks()
    known = {name: j for j, name in enumerate(servers)}
    code = np.array([*(known.get(name, -2) for name in texts.dictionary.to_pylist()), -1])
    server = code[texts.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    keys = menus.index
    for column in (*cuts.T, server):
        keys = keys * (int(column.max()) + 3) + column + 2
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    options = np.empty(len(first), dtype=np.int64)
    for k, d in enumerate(first.tolist()):
        if server[d] == -2:
            raise InputError(f'server "{texts[d].as_py()}" in row {d + 1} of a part: there is no such server')
        own = [cut for cut in cuts[d].tolist() if cut >= 0]
        options[k] = scenario.option_of(d, own, servers[server[d]] if server[d] >= 0 else None)
        if (server[d] >= 0) != bool(menus.of(d).away[options[k]]):
            raise InputError(f"server in row {d + 1} of a part is empty, and its cuts leave work for one; name it")
    return options[place.ravel()]


def shares_in(path: Path, problem: Problem, table: Any) -> FloatArray:  # noqa: ANN401 - of Arrow's
    """Return the shares (n_nodes, n_uses) that rows say, in the order of the uses that their options have."""
    there = problem.service[:, 0] > 0
    shares = np.zeros(there.shape)
    if problem.n_resources == 1:
        return np.where(there, table.column("share").to_numpy()[:, None], 0.0)
    if "shares" not in table.column_names:
        raise InputError(f"{path}: column shares is missing, and several resources are shared")
    lists = table.column("shares").combine_chunks()
    entries = lists.flatten()
    names = entries.field("resource").cast("string").dictionary_encode()
    place = {resource.name: r for r, resource in enumerate(problem.resources)}
    known = np.array([place.get(name, -1) for name in names.dictionary.to_pylist()], dtype=np.int64)
    said = known[names.indices.to_numpy()]
    counts, uses = np.diff(lists.offsets.to_numpy()), there.sum(axis=1)
    if (counts != uses).any() or (said != problem.resource[:, 0][there]).any():
        d = int(np.argmax(counts != uses))
        raise InputError(f"{path}: shares in row {d + 1} of a part are not of the resources that its option uses")
    shares[there] = entries.field("share").to_numpy(zero_copy_only=False)
    return shares


def checked(shelf: Shelf, place: int, path: Path) -> tuple[Totals, Check | None]:
    """Return what the rows of a part come to, and the first of their claims that is false."""
    rows = taken_up(shelf, place, path)
    none = np.zeros(len(rows.names), dtype=np.int64)
    verdict = judge(rows.problem, none, rows.choices.shares, rows.scenario.nodes.names)
    broken = verdict.violation and f"{shelf.parted.files[place].path}: {verdict.violation}"
    networks = [rows.scenario.profiles[network].name for network in rows.scenario.nodes.networks]
    total = totals_of(rows.problem, rows.choices, networks, rows.delays.total, broken)
    return total, _first_false(rows, networks)


def _first_false(rows: PartRows, networks: Sequence[str]) -> Check | None:
    from pyarrow import compute

    table, names = rows.table, rows.names

    def false(key: str, wrong: Any, true: Any) -> Check | None:  # noqa: ANN401 - arrays of either kind
        at = np.flatnonzero(wrong)[:1].tolist()
        told = [(str(names[d]), table.column(key)[d].as_py(), true[d]) for d in at]
        return Check("rows", f'{key} of "{told[0][0]}" = {told[0][1]}', str(told[0][2]), False) if told else None

    def other(key: str, true: Any) -> Any:  # noqa: ANN401
        return compute.fill_null(compute.not_equal(table.column(key).cast("string"), true), True).to_numpy()

    models = np.array(networks, dtype=object)[rows.choices.network]
    if found := false("name", other("name", names), names):
        return found
    if found := false("model", other("model", models.tolist()), models):
        return found
    total = rows.delays.total
    times = dict(zip(STAGES, (rows.delays.edge, rows.delays.upload, rows.delays.cloud, total), strict=True))
    for key, true in {"share": rows.choices.server_shares, **times}.items():
        said = table.column(key).to_numpy()
        rounding = CLAIM_TOLERANCE * (np.abs(true) + (total if key in times else 0.0))
        if found := false(key, ~(np.abs(said - true) <= rounding), true):
            return found
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """What is true about a plan of a fleet in parts.

    Parameters
    ----------
    surveyed
        The fleet.
    total
        What its rows come to.
    objective
        The mean delay, s; +inf where it is no plan.
    lower_bound
        What its prices prove, s.
    checks
        Every claim beside its recomputation.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt.solving.node_rows import write_rows
    >>> from dmcjia_opt.solving.parts.auditing import audit
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.solving.plan import load_claims
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet, rows = small_parts("one"), Path("one.parquet")
    >>> foreman = Foreman(fleet, in_process(fleet))
    >>> solve_parts(foreman, keep=lambda tables: write_rows(rows, tables)).save("one.json", rows.name)
    >>> found = audit(foreman, load_claims("one.json"), rows)
    >>> [check.what for check in found.checks][:3], round(found.objective, 6)
    (['scenario', 'feasible', 'objective_s'], 0.399593)
    """

    surveyed: Surveyed
    total: Totals
    objective: float
    lower_bound: float
    checks: tuple[Check, ...]

    __repr__ = brief


def audit(foreman: Foreman, claims: PlanHeadFile, path: Path) -> Audit:
    """Recompute everything that a plan of a fleet in parts claims.

    Parameters
    ----------
    foreman
        Who asks the parts.
    claims
        What the plan file says.
    path
        The file of its rows.

    Raises
    ------
    InputError
        If the rows are not of this fleet at all, or a file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt.solving.node_rows import write_rows
    >>> from dmcjia_opt.solving.parts.auditing import audit
    >>> from dmcjia_opt.solving.parts.crews import Foreman, in_process
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.solving.plan import load_claims
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet, rows = small_parts("two"), Path("two.parquet")
    >>> foreman = Foreman(fleet, in_process(fleet))
    >>> solve_parts(foreman, keep=lambda tables: write_rows(rows, tables)).save("two.json", rows.name)
    >>> found = audit(foreman, load_claims("two.json"), rows)
    >>> all(check.true for check in found.checks)
    True
    """
    parted = foreman.parted
    parted.check()
    surveyed = foreman.survey()
    n, digest = len(parted.files), surveyed.sha256()
    each = list(foreman.each(checked, (), [path] * n))
    total = together([found for found, _ in each])
    false = next((check for _, check in each if check is not None), None)
    broken = total.violation or ("" if fits(total.used, parted.n_nodes) else "its shares exceed what there is")
    objective = math.inf if broken else total.mean_delay

    @cache
    def bound_of(prices: tuple[float, ...]) -> float:
        at = np.clip(np.array(prices), LEAST_PRICE, MOST_PRICE)
        if at.shape != (len(total.resources),) or not (np.isfinite(prices).all() and (np.array(prices) >= 0.0).all()):
            return -math.inf
        point = Sums.all(foreman.asked("ask", (), [at] * n)).point(at, 1.0, np.empty(0, dtype=np.int64))
        bound = point.value - rounding_slack(parted.n_nodes, point.magnitude)
        return bound if math.isfinite(bound) else -math.inf

    said = [row.price_s for row in claims.resources or ()] or [claims.price_s or 0.0]
    bound = bound_of(tuple(said))
    idle = np.zeros(len(total.resources))
    checks = (
        Check("scenario", claims.scenario_sha256[:12], digest[:12], claims.scenario_sha256 == digest),
        Check("feasible", "yes", f"no: {broken}" if broken else "yes", not broken),
        check_objective(claims, objective),
        check_bound(claims, bound, "dual, at its prices"),
        *check_rule(surveyed.example, claims),
        *check_aims(surveyed.example, claims, objective, math.inf if broken else total.worst_delay),
        *check_price(len(total.resources), claims, lambda prices: bound_of(tuple(prices))),
        *check_resources(
            total.resources, claims, (total.used, total.load, idle), lambda prices: bound_of(tuple(prices))
        ),
        check_gap(claims, objective),
        check_status(claims, not broken, lambda name: None),
        false or Check("rows", f"{parted.n_nodes:,} rows", "all the same", not broken),
    )
    return Audit(surveyed, total, objective, bound, checks)
