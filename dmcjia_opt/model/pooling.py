"""What a problem says of its pooled resources: delays of their uses, and the problem that is left without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.arrays import BoolArray, FloatArray, IntArray, absent, distinct, over_uses
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.delay import DelayCurve
from dmcjia_opt.model.sharing.crowding import STEADY, SUMS, Crowding, Pooled

if TYPE_CHECKING:
    from dmcjia_opt.model.problem import Problem


def pooled_resources(problem: Problem) -> BoolArray:
    """Return which resources (n_resources,) have no shares.

    Raises
    ------
    InputError
        If delays are percentiles, and one has none.
    """
    pooled = np.array([resource.pooled is not None for resource in problem.resources])
    if pooled.any() and not all(curve.pieces() for curve in problem.use_curves):
        name = problem.resources[int(pooled.argmax())]
        raise InputError(f'percentiles need reserved shares, and {name} is pooled; use statistic = "mean"')
    pooled.setflags(write=False)
    return pooled


def reserved_uses(problem: Problem) -> BoolArray:
    """Return which uses (n_nodes or 1, n_options, n_uses) have shares."""
    busy = distinct(problem.service) > 0
    return busy & ~pooled_uses(problem) if problem.pooled.any() else busy


def pooled_uses(problem: Problem) -> BoolArray:
    """Return which uses (n_nodes, n_options, n_uses) are of something that is pooled."""
    return np.asarray(problem.pooled[problem.resource] & (problem.service > 0))


def use_delay(problem: Problem, options: IntArray) -> FloatArray:
    """Return the mean delay of each use of what is pooled, s; 0 elsewhere, and +inf where it is overloaded.

    Parameters
    ----------
    problem
        The compiled problem.
    options
        (..., n_nodes).

    Returns
    -------
    (..., n_nodes, n_uses)
    """
    service, resource = problem.at(problem.service, options), problem.at(problem.resource, options)
    rate, scv = problem.arrival_rate[:, None], _scv(problem)
    delay, on = np.zeros(service.shape), problem.pooled[resource] & (service > 0)
    load = problem.by_resource(options, np.where(on, rate * service, 0.0))
    for kind, here in _kinds(problem):
        of = on & here[resource]
        q = kind.empty + problem.by_resource(options, np.where(of, kind.ahead(service, rate, scv), 0.0))
        met = by_use(problem, _met(q, Crowding.of([kind.points]).factor(load[..., None])[..., 0]), resource)
        each = kind.each(service)
        delay = np.where(of, kind.own(service) + each * np.where(each > 0, met, 0.0), delay)
    return delay


def stability(problem: Problem, options: IntArray, shares: FloatArray, reserved: FloatArray) -> FloatArray:
    """Return ρ − 1 (..., n_nodes, n_uses) of what is pooled and used, +inf where there is a share of it.

    Elsewhere it is what `reserved` (..., n_nodes, n_uses) says.
    """
    service, resource = problem.at(problem.service, options), problem.at(problem.resource, options)
    load = problem.by_resource(options, problem.arrival_rate[:, None] * service)
    broken = (shares != 0.0) | np.isinf(problem.at(problem.fixed_delay, options))[..., None]
    own = np.where(broken, np.inf, by_use(problem, load, resource) - 1.0)
    return np.where(problem.pooled[resource] & (service > 0), own, reserved)


def by_use(problem: Problem, values: FloatArray, resource: IntArray) -> FloatArray:
    """Return what uses meet (..., n_nodes, n_uses) of values (..., n_resources), `resource` being what they use."""
    flat = resource.reshape(*values.shape[:-1], problem.n_nodes * problem.n_uses)
    return np.take_along_axis(values, flat, axis=-1).reshape(resource.shape)


def alone(problem: Problem) -> FloatArray:
    """Return the least that each use of what is pooled may take, s: as if its node had it to itself.

    That is (n_nodes, n_options, n_uses); 0 elsewhere, and +inf where one node is too much.
    """
    service, rate = problem.service, problem.arrival_rate[:, None, None]
    found, on, load = np.zeros(service.shape), pooled_uses(problem), rate * service
    for kind, here in _kinds(problem):
        q = kind.empty + kind.ahead(service, rate, _scv(problem)[:, None, :])
        factor = Crowding.of([kind.points]).least_factor(load[..., None])[..., 0]
        own = kind.own(service) + kind.each(service) * _met(q, factor)
        found = np.where(on & here[problem.resource], own, found)
    return found


def crowding(problem: Problem) -> Crowding:
    """Return how the uses of what is pooled grow with its load; of what has shares it means nothing."""
    kinds = [resource.pooled for resource in problem.resources]
    return Crowding.of([STEADY if kind is None else kind.points for kind in kinds])


def undisturbed(problem: Problem, options: IntArray) -> FloatArray:
    """Return what each use of what is pooled takes with nobody there (..., n_nodes, n_uses), s; 0 elsewhere."""
    service, resource = problem.at(problem.service, options), problem.at(problem.resource, options)
    found = np.zeros(service.shape)
    for kind, here in _kinds(problem):
        found = np.where(here[resource] & (service > 0), _by_itself(kind, service), found)
    return found


def sums(problem: Problem) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what every option adds to the sums that say what is pooled costs (see `sharing.crowding`).

    Returns
    -------
    own, parts, empty
        (n_nodes, n_options) w·own, s; (n_nodes, n_options, n_resources, 3) parts of p, q and ρ; and (n_resources, 3)
        what the sums are without any user. All is 0 of resources with reserved shares.
    """
    service, rate, weight = problem.service, problem.arrival_rate[:, None, None], problem.weight[:, None, None]
    on = pooled_uses(problem)
    own = np.zeros(service.shape)
    parts, empty = np.zeros((*service.shape[:2], problem.n_resources, SUMS)), np.zeros((problem.n_resources, SUMS))
    for kind, here in _kinds(problem):
        of = on & here[problem.resource]
        own = np.where(of, weight * kind.own(service), own)
        empty[here, 1] = kind.empty
        terms = (weight * kind.each(service), kind.ahead(service, rate, _scv(problem)[:, None, :]), rate * service)
        for r in np.flatnonzero(here).tolist():
            mine = of & (problem.resource == r)
            for i, term in enumerate(terms):
                parts[..., r, i] = over_uses(np.where(mine, term, 0.0))
    return over_uses(own), parts, empty


def fast_enough(problem: Problem) -> dict[str, FloatArray]:
    """Return the tables that least rates change: what is pooled is fast enough with all of it, or not allowed."""
    if not distinct(problem.least_rate).any():
        return {}
    on = pooled_uses(problem)
    slow = np.zeros(on.shape[:2], dtype=np.bool_)
    for kind, here in _kinds(problem):
        late = problem.least_rate * _by_itself(kind, problem.service) > 1.0
        slow |= (on & here[problem.resource] & late).any(-1)
    return {
        "fixed_delay": np.where(slow, np.inf, problem.fixed_delay),
        "least_rate": np.where(on, 0.0, problem.least_rate),
        "wait": np.where(slow, 0.0, problem.wait),
    }


def relaxed(problem: Problem) -> Problem:
    """Return the problem whose pooled uses take what they would alone: no plan of it is slower, and all is reserved."""
    return _without(problem, alone(problem))


def reserved(problem: Problem) -> Problem:
    """Return the problem without anything that is pooled: as if its uses took no time."""
    return _without(problem, np.zeros((1, 1, 1)))


def given(problem: Problem, options: IntArray) -> Problem:
    """Return what is left of one plan: a single option a node, `options` (n_nodes,), with its pooled delays fixed."""
    at = np.arange(problem.n_nodes), options
    only = {
        key: getattr(problem, key)[at][:, None] for key in ("fixed_delay", "service", "least_rate", "wait", "resource")
    }
    delay = use_delay(problem, options)[:, None]
    plan = replace(problem, **only, last=np.zeros(problem.n_nodes, dtype=np.int64), uplinks=None, deadline=absent())
    return replace(_without(plan, delay), deadline=problem.deadline)


def _without(problem: Problem, delay: FloatArray) -> Problem:
    """Return a problem with the pooled uses as fixed delays (n_nodes, n_options, n_uses), s, in place of uses."""
    on = pooled_uses(problem)
    with np.errstate(invalid="ignore"):
        fixed = problem.fixed_delay + over_uses(delay)
    return replace(
        problem,
        fixed_delay=fixed,
        service=np.where(on, 0.0, problem.service),
        resources=tuple(replace(resource, sharing="reserved") for resource in problem.resources),
    )


def _kinds(problem: Problem) -> Iterator[tuple[Pooled, BoolArray]]:
    """Yield every kind that is pooled, and which resources (n_resources,) are of it."""
    kinds = [resource.pooled for resource in problem.resources]
    for kind in dict.fromkeys(kind for kind in kinds if kind is not None):
        yield kind, np.array([other == kind for other in kinds])


def _by_itself(kind: Pooled, service: FloatArray) -> FloatArray:
    """Return what a use takes while nobody is there, s."""
    return kind.own(service) + kind.empty * kind.each(service)


def _met(q: FloatArray, factor: FloatArray) -> FloatArray:
    """Return q·φ, +inf where φ is."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(factor), np.inf, q * factor)


def _scv(problem: Problem) -> FloatArray:
    """Return c_a² + c_s² (n_nodes, n_uses) of every node's arrivals and every use's service times."""
    varies = np.array([service_scv(curve) for curve in problem.use_curves])
    return np.asarray(problem.arrival_scv[:, None] + varies)


def service_scv(curve: DelayCurve) -> float:
    """Return c_s², the squared coefficient of variation of the service times that a curve is of: 2b − 1."""
    return max(2.0 * max(float(piece.b) for piece in curve.pieces()) - 1.0, 0.0)
