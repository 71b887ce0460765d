"""What is true about a plan: every claim of its file beside its recomputation, and a proof that others can check."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray, IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.handing import check_arguments
from dmcjia_opt.base.showing import percent, required
from dmcjia_opt.bounds.certificate import Certificate, certify, lower_bound, relative_gap
from dmcjia_opt.bounds.proof.checking import check_proof
from dmcjia_opt.bounds.proof.document import Proof, load_proof
from dmcjia_opt.bounds.proof.making import MOST_LEAVES, prove_bound
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.model.resources import Resource
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.model.scenario.loading import scenario_of
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.choices import Choices, Share, choices_of
from dmcjia_opt.solving.claimed import options_and_shares
from dmcjia_opt.solving.contract import Placement, Status, proved
from dmcjia_opt.solving.infeasible import too_late, why_no_plan
from dmcjia_opt.solving.plan import Plan, PlanFile, PlanHeadFile, claims_of
from dmcjia_opt.solving.registry import build_allocator, build_placer, specs
from dmcjia_opt.solving.running import place

#: Relative difference up to which a claimed number and its recomputation count as the same.
CLAIM_TOLERANCE = 1e-9
_SHOWN = 8  # of a list, in a check

#: The bound, s, that prices of all resources prove.
BoundAt = Callable[[Sequence[float]], float]
#: What a placer of this name finds, None if its bounds are no proofs of this package.
Searched = Callable[[str], Placement | None]


def prove(scenario: Scenario | str | Path, plan: Plan, *, most_leaves: int = MOST_LEAVES) -> Proof:
    """Return a proof of how good a plan is, which anyone can check without a solver (`checking.check_proof`).

    Parameters
    ----------
    scenario, plan
        The plan must be one of this scenario.
    most_leaves
        Give up beyond so many cases, and prove what a single price proves.

    Returns
    -------
    A proof of the plan's lower bound up to half the gap at which it counts as optimal; where that would take too
    many cases, of the best bound one price gives.

    Raises
    ------
    InputError
        If the plan was made for another scenario.

    Examples
    --------
    >>> from dmcjia_opt import generate, prove, solve
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> plan = solve(scenario)
    >>> proof = prove(scenario, plan)
    >>> proof.leaves, plan.objective - proof.bound < 1e-9
    (1, True)
    """
    check_arguments(prove, locals(), "scenario", "plan")
    scenario = scenario_of(scenario)
    required(Plan, plan, "plan", "solve and evaluate return one")
    if plan.scenario_sha256 != (digest := scenario.sha256()):
        raise InputError("the plan was made for another scenario; prove it with its own")
    wanted = min(plan.lower_bound, plan.objective * (1.0 - 0.5 * plan.gap_tolerance))
    problem, allocator = compile_problem(scenario), build_allocator("waterfilling")

    def prices_of(options: IntArray) -> FloatArray:
        prices: FloatArray = allocator.allocate(problem, options[None]).prices[0]
        return prices

    return prove_bound(problem, digest, wanted, prices_of=prices_of, most_leaves=most_leaves)


@dataclass(frozen=True, slots=True)
class Check:
    """One claim of a plan file beside its recomputation.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve, verify
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> verify(scenario, solve(scenario))[1]
    Check(what='feasible', claimed='yes', recomputed='yes', true=True)
    """

    what: str
    claimed: str
    recomputed: str
    true: bool


def verify(
    scenario: Scenario | str | Path, claims: PlanFile | Plan | str | Path, proof: Proof | str | Path | None = None
) -> tuple[Check, ...]:
    """Recompute everything a plan file claims about a scenario.

    Each may be the path of its file, and claims those of a `Plan`. With a proof the bound is derived anew from that,
    instead of being searched for again; the proof's own claim is checked too.

    Raises
    ------
    InputError
        If the plan is not one for this fleet at all: another number of nodes, or splits that do not exist.
    Unproved
        If the proof is none.

    Examples
    --------
    >>> from dmcjia_opt import generate, solve, verify
    >>> scenario = generate("paper", nodes=3, seed=1)
    >>> checks = verify(scenario, solve(scenario))
    >>> all(check.true for check in checks), [check.what for check in checks][:3]
    (True, ['scenario', 'feasible', 'objective_s'])
    """
    check_arguments(verify, locals(), "scenario", "claims")
    scenario, claims = scenario_of(scenario), claims_of(claims)
    proof = load_proof(proof) if isinstance(proof, str | Path) else proof
    problem = compile_problem(scenario)
    choices, certificate = certify_file(scenario, problem, claims)
    broken = certificate.violation and (why_no_plan(scenario, problem) or certificate.violation)
    digest = scenario.sha256()
    derived, of_proof = _derived(problem, proof, digest)
    searched = cache(partial(_searched_again, problem))  # a search may take long, and two claims may rest on it
    bound, how = _provable(claims, certificate.lower_bound, derived, searched)
    delay = np.full(problem.n_nodes, np.inf)  # what is no plan has none
    if certificate.feasible:
        delay = problem.node_delay(choices.options, choices.shares)

    def bound_at(prices: Sequence[float]) -> float:
        return lower_bound(problem, np.array(prices))

    return (
        Check("scenario", claims.scenario_sha256[:12], digest[:12], claims.scenario_sha256 == digest),
        Check("feasible", "yes", f"no: {broken}" if broken else "yes", certificate.feasible),
        check_objective(claims, certificate.objective),
        check_bound(claims, bound, how),
        *check_rule(scenario, claims),
        *check_aims(scenario, claims, float((problem.weight * delay).sum()), float(delay.max())),
        *check_price(problem.n_resources, claims, bound_at),
        *check_resources(problem.resources, claims, (choices.used, choices.load, choices.wait), bound_at),
        *of_proof,
        check_gap(claims, certificate.objective),
        check_status(claims, certificate.feasible, searched),
        *_columns(scenario, claims, choices),
        _nodes(scenario, problem, claims, choices, certificate.feasible),
    )


def check_bound(claims: PlanHeadFile, bound: float, how: str) -> Check:
    """Return the bound that a plan file claims beside one that was proved, and how."""
    claimed = claims.lower_bound_s
    return Check("lower_bound_s", f"{claimed:.9g}", f"{bound:.9g} ({how})", claimed <= _up(bound))


def check_gap(claims: PlanHeadFile, objective: float) -> Check:
    """Return the gap that a plan file claims beside the one between the recomputed delay and its bound."""
    gap = relative_gap(objective, claims.lower_bound_s)
    return Check("gap", percent(claims.gap), percent(gap), abs(claims.gap - gap) <= CLAIM_TOLERANCE)


def _up(bound: float) -> float:
    return bound + CLAIM_TOLERANCE * abs(bound)


def certify_file(scenario: Scenario, problem: Problem, claims: PlanFile) -> tuple[Choices, Certificate]:
    """Return what a plan file says of every node, its stages recomputed, and what can be said about it.

    Raises
    ------
    InputError
        If the plan is not one for this fleet at all: another number of nodes, or options that do not exist.
    """
    options, shares = options_and_shares(scenario, problem, claims)
    certificate = certify(problem, options, shares, names=scenario.nodes.names)
    if late := too_late(scenario, problem, options, shares):
        certificate = replace(certificate, violation=late)
    return choices_of(scenario, problem, options, shares), certificate


def check_objective(claims: PlanHeadFile, objective: float) -> Check:
    """Return the delay that a plan file claims, of what was minimised, beside the recomputed one."""
    claimed, recomputed = claims.objective_s, objective
    same = math.isclose(claimed, recomputed, rel_tol=CLAIM_TOLERANCE)
    return Check("objective_s", f"{claimed:.9g}", f"{recomputed:.9g}", same)


def _derived(problem: Problem, proof: Proof | None, digest: str) -> tuple[float, tuple[Check, ...]]:
    """Return the bound that a proof of this very scenario proves, −inf if there is none, and what it claims."""
    if proof is None:
        return -math.inf, ()
    mine = proof.scenario_sha256 == digest
    about = Check("proof: scenario", proof.scenario_sha256[:12], digest[:12], mine)
    if not mine:
        return -math.inf, (about,)
    bound = check_proof(problem, proof)
    cases = f"{proof.leaves:,} case{'s' if proof.leaves > 1 else ''}"
    return bound, (
        about,
        Check("proof: bound_s", f"{proof.bound:.15g}", f"{bound:.15g}, {cases}", proof.bound <= bound),
    )


def _provable(claims: PlanFile, dual: float, derived: float, searched: Searched) -> tuple[float, str]:
    """Return the largest bound that can be proved here, proving it again by search if nothing else is enough."""
    if claims.lower_bound_s <= _up(dual):
        return dual, "dual"
    if claims.lower_bound_s <= _up(derived):
        return derived, "the proof"
    if again := searched(claims.bound_from):
        return max(dual, again.lower_bound), f"{claims.bound_from}, searched again"
    return dual, "dual; what the rest of the claim rests on cannot be checked"


def _searched_again(problem: Problem, name: str) -> Placement | None:
    """Return what a placer finds whose bounds are this package's own proofs; None if `name` is none of those."""
    if name not in (spec.name for spec in specs("placer") if spec.proves):
        return None
    placer = build_placer(name)
    return place(placer, problem, build_allocator("waterfilling")) if placer.supports(problem) is None else None


def check_rule(scenario: Scenario, claims: PlanHeadFile) -> tuple[Check, ...]:
    """Return whether the bound is said to hold for the plans it holds for, if that is said."""
    said, rule = claims.bound_holds_for, scenario.rule
    return (Check("rule", said, rule, said == rule),) if said else ()


def check_aims(scenario: Scenario, claims: PlanHeadFile, mean: float, worst: float) -> Iterator[Check]:
    """Yield whether a plan says what was minimised, of which statistic, and the mean and largest delay that come of it.

    What a file does not say counts as the mean, and is shown where that is not so.
    """
    for key in ("objective", "statistic"):
        said, true = getattr(claims, key), getattr(scenario.options, key)
        if (said, true) != ("mean", "mean"):
            yield Check(key, said, true, said == true)
    for key, found in ("mean_delay_s", mean), ("worst_delay_s", worst):
        said = getattr(claims, key)
        if said is not None:
            yield Check(key, f"{said:.9g}", f"{found:.9g}", math.isclose(said, found, rel_tol=CLAIM_TOLERANCE))


def check_price(n_resources: int, claims: PlanHeadFile, bound_at: BoundAt) -> tuple[Check, ...]:
    """Return whether the bound follows from the price, where that is what it is said to rest on."""
    if claims.price_s is None:
        return ()
    claimed = f"{claims.price_s:.9g}"
    if n_resources > 1:
        return (Check("price_s", claimed, f"a price for each of {n_resources} resources", False),)
    return () if claims.bound_from != "dual" else (_proves("price_s", claimed, bound_at([claims.price_s]), claims),)


def _proves(what: str, said: str, bound: float, claims: PlanHeadFile) -> Check:
    return Check(what, said, f"proves {bound:.9g}", claims.lower_bound_s <= _up(bound))


def check_resources(
    resources: Sequence[Resource],
    claims: PlanHeadFile,
    columns: tuple[FloatArray, FloatArray, FloatArray],
    bound_at: BoundAt,
) -> tuple[Check, ...]:
    """Return whether the rows of the resources are true, and whether the bound follows from their prices.

    The columns are what of each is used, its load and the wait there, (n_resources,).
    """
    rows = claims.resources
    if rows is None:
        return ()
    names = [resource.name for resource in resources]
    if [row.name for row in rows] != names:
        return (Check("resources", _few([row.name for row in rows]), _few(names), False),)
    prices, found = [row.price_s for row in rows], None
    for row, resource, used, load, wait in zip(rows, resources, *(column.tolist() for column in columns), strict=True):
        facts: dict[str, tuple[object, object]] = {
            "kind": (row.kind, resource.kind),
            "sharing": (row.sharing, resource.sharing),
            "used": (row.used, used),
        }
        if "load" in row.model_fields_set:
            facts["load"] = row.load, load
        if "wait_s" in row.model_fields_set:
            facts["wait_s"] = row.wait_s, wait if resource.pooled else None
        if claims.price_s is not None and len(rows) == 1:
            facts["price_s"] = row.price_s, claims.price_s
        found = found or _false("resources", row.name, facts)
    check = found or Check("resources", _few(names), "all the same", True)
    if claims.bound_from != "dual" or (claims.price_s is not None and len(rows) == 1):
        return (check,)
    return check, _proves("prices", _few([f"{price:.9g}" for price in prices]), bound_at(prices), claims)


def _few(words: Sequence[str]) -> str:
    return ", ".join([*words[:_SHOWN], *([f"and {len(words) - _SHOWN} more"] if len(words) > _SHOWN else [])])


def check_status(claims: PlanHeadFile, feasible: bool, searched: Searched) -> Check:
    """Return whether the gap that is claimed allows the status; no status is that of an infeasible plan."""
    tolerance, said = claims.gap_tolerance, claims.status
    reached = proved(claims.gap, tolerance)
    true = {str(status) for status in (Status.FEASIBLE, Status.LIMIT, reached)}
    found = f"gap {'above' if reached == Status.FEASIBLE else 'within'} {percent(tolerance)}"
    if reached == Status.WITHIN:
        found = reached.in_words(tolerance)
    if said == str(Status.ROUNDED) and (again := searched(claims.placer)):
        found = f"{found}; searched again: {again.status}"
        true |= {said} if again.status in (Status.ROUNDED, Status.OPTIMAL) else set()
    return Check("status", said, found if feasible else "no plan", feasible and said in true)


def _columns(scenario: Scenario, claims: PlanFile, choices: Choices) -> tuple[Check, ...]:
    """Return whether the lists of splits and shares say what the rows of the nodes do, where those are the plan."""
    if scenario.menus.splits:
        return ()
    checks = []
    for what, claimed, true in (
        ("splits", claims.splits, choices.splits.tolist()),
        ("shares", claims.shares, choices.server_shares.tolist()),
    ):
        rows = zip(scenario.nodes.names, claimed, true, strict=True)
        found = (_false(what, name, {what: (said, known)}) for name, said, known in rows)
        checks.append(next(filter(None, found), Check(what, f"{len(true)} nodes", "all the same", True)))
    return tuple(checks)


def _nodes(scenario: Scenario, problem: Problem, claims: PlanFile, choices: Choices, feasible: bool) -> Check:
    delays = problem.breakdown(choices.options, choices.shares)
    splits, shares, total = choices.splits, choices.server_shares, delays.total
    models, deadlines = scenario.network_names(), problem.deadline.tolist()
    for d, row in enumerate(claims.nodes):
        name = scenario.nodes.names[d]
        facts: dict[str, tuple[object, object]] = {
            "name": (row.name, name),
            "model": (row.model, models[d]),
            "split": (row.split, int(splits[d])),
            "share": (row.share, float(shares[d])),
            "edge_s": (row.edge_s, float(delays.edge[d])),
            "upload_s": (row.upload_s, float(delays.upload[d])),
            "cloud_s": (row.cloud_s, float(delays.cloud[d])),
            "total_s": (row.total_s, float(total[d])),
        }
        if "server" in row.model_fields_set:
            facts["server"] = row.server, choices.server_of(d)
        if "deadline_s" in row.model_fields_set:
            facts["deadline_s"] = row.deadline_s, deadlines[d] if math.isfinite(deadlines[d]) else None
        if row.cuts is not None:
            facts["cuts"] = row.cuts, choices.cuts_of(d)
        if row.cut_tensors is not None:
            facts["cut_tensors"] = row.cut_tensors, choices.cut_tensors_of(d)
        if row.shares is not None:
            facts |= _by_name("shares", row.shares, choices.shares_of(d))
        if row.stages is not None:
            facts |= _by_name("stages", row.stages, choices.stages_of(d))
        if false := _false("nodes", name, facts, scale=abs(float(total[d]))):
            return false
    found = "all the same" if feasible else "delays of no plan"
    return Check("nodes", f"{len(claims.nodes)} rows", found, feasible)


def _by_name(key: str, said: Mapping[str, Share], true: Mapping[str, Share]) -> dict[str, tuple[object, object]]:
    """Return what is said by name beside what is true; a name that only one of them has stands for 0 there."""
    return {f'{key}["{name}"]': (said.get(name, 0.0), true.get(name, 0.0)) for name in {**said, **true}}


def _false(what: str, name: str, facts: Mapping[str, tuple[object, object]], scale: float = 0.0) -> Check | None:
    """Return the first claim about something of a name that is false; times may be off by rounding of `scale`, s."""
    for key, (claimed, true) in facts.items():
        timed = scale if key.endswith("_s") or key.startswith("stages") else 0.0
        if not _same(claimed, true, CLAIM_TOLERANCE * timed):
            return Check(what, f'{key} of "{name}" = {claimed}', str(true), False)
    return None


def _same(claimed: object, true: object, rounding: float) -> bool:
    if isinstance(claimed, list) and isinstance(true, list):
        return len(claimed) == len(true) and all(_same(c, t, rounding) for c, t in zip(claimed, true, strict=True))
    if isinstance(claimed, float) and isinstance(true, float):
        return math.isclose(claimed, true, rel_tol=CLAIM_TOLERANCE, abs_tol=rounding)
    return claimed == true
