"""What a scenario says of arrivals and of resources that nobody has a share of: refused, in words, and how exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.servers import CLOUD_NAME, Server

if TYPE_CHECKING:
    from dmcjia_opt.model.scenario.scenario import Options, Scenario

_MOST_NAMED = 3
_CALLED = {"fifo": "one queue for all", "ps": "equal sharing by all tasks there"}


def pooled(scenario: Scenario) -> list[tuple[str, Sharing]]:
    """Return what is pooled, in the words of a sentence, and how."""
    entries = [
        *((_called(server), server.sharing) for server in scenario.all_servers),
        *((f'the link "{link.name}"', link.sharing) for link in scenario.links),
        *((f'the host "{host.name}"', host.sharing) for host in scenario.hosts),
    ]
    return [(name, sharing) for name, sharing in entries if sharing != "reserved"]


def check_streams(scenario: Scenario) -> None:
    """Refuse percentiles of what only means are known of.

    Raises
    ------
    InputError
        With the node or the resource, and the remedy.
    """
    nodes, options = scenario.nodes, scenario.options
    for server in scenario.all_servers:
        _check_batches(server, options)
    if options.statistic == "mean":
        return
    scv = nodes.arrival_scv
    for d in np.flatnonzero((scv != 0.0) & (scv != 1.0))[:1]:
        raise InputError(
            f'nodes: arrivals of "{nodes.names[d]}" = {scv[d]:g} has a mean delay and no percentiles; write "poisson" '
            f'or "periodic" there, or statistic = "mean" in place of "{options.statistic}"'
        )
    for name, sharing in pooled(scenario)[:1]:
        raise InputError(
            f'sharing = "{sharing}" of {name} has a mean delay and no percentiles; write sharing = "reserved" there, '
            f'or statistic = "mean" in place of "{options.statistic}"'
        )


def _check_batches(server: Server, options: Options) -> None:
    what = "cloud: " if server.name == CLOUD_NAME else f'servers: "{server.name}": '
    if server.batches and server.sharing != "fifo":
        raise InputError(
            f'{what}seconds_by_batch means nothing where sharing is "{server.sharing}"; write sharing = "fifo", or '
            "leave it out"
        )
    if server.batches and (options.delay == "mm1" or (options.delay == "mg1" and options.service_scv)):
        raise InputError(
            f'{what}seconds_by_batch is of batches that always take as long, and delay = "{options.delay}" of services '
            'that vary; write delay = "md1" or "tandem"'
        )


def sharing_rule(scenario: Scenario) -> list[str]:
    """Return how what is shared is, as parts of the rule that a bound holds under."""
    found = pooled(scenario)
    everything = len(scenario.all_servers) + len(scenario.links) + len(scenario.nodes.host.values)
    parts = ["reserved shares"] if len(found) < everything else []
    for sharing, called in _CALLED.items():
        if names := [name for name, how in found if how == sharing]:
            parts.append(f"{called} at {_named(names)}")
    if names := _in_batches(scenario):
        parts.append(f"{_named(names)} serving in batches")
    return parts


def _in_batches(scenario: Scenario) -> list[str]:
    return [_called(server) for server in scenario.all_servers if server.batches]


def _called(server: Server) -> str:
    return "the cloud" if server.name == CLOUD_NAME else f'the server "{server.name}"'


def arrivals_rule(scenario: Scenario) -> list[str]:
    """Return what arrivals are and which of the waits are approximate, as parts of the rule; nothing where Poisson."""
    scv = scenario.nodes.arrival_scv
    if (scv == 1.0).all():
        return []
    parts = ["periodic arrivals"] if (scv == 0.0).all() else ["the arrivals of each node"]
    return [*parts, *_approximate(scenario)]


def cautions(scenario: Scenario) -> tuple[str, ...]:
    """Return what of the delays is an approximation, a sentence each."""
    found = [f"approximation: {part}" for part in _approximate(scenario)]
    shared, scv = pooled(scenario), scenario.nodes.arrival_scv
    if names := [name for name, _ in shared]:
        before = "nor does what waits before them shorten waits there" if scenario.options.delay == "tandem" else ""
        independent = f"arrivals at {_named(names)} count as independent of what they waited before"
        found.append(f"approximation: {independent}" + (f", {before}" if before else ""))
    if names := _in_batches(scenario):
        found.append(
            f"approximation: waits for batches at {_named(names)} are those of equal tasks; among longer ones a "
            "short one takes longer than planned"
        )
    if (scv != 1.0).any():
        if names := [name for name, sharing in shared if sharing == "fifo"]:
            found.append(
                f"approximation: at {_named(names)} the gaps of each node count by themselves; several regular nodes "
                "together are less regular, and wait longer"
            )
        if names := [name for name, sharing in shared if sharing == "ps"]:
            found.append(f"approximation: arrivals at {_named(names)} count as Poisson, however regular they are")
    return tuple(found)


def _approximate(scenario: Scenario) -> list[str]:
    """Return whose waits are approximate."""
    scv, options = scenario.nodes.arrival_scv, scenario.options
    exact = [1.0]
    if options.delay in ("md1", "tandem") or (options.delay == "mg1" and not options.service_scv):
        exact.append(0.0)  # nothing waits where neither arrivals nor services vary
    values = np.unique(scv[~np.isin(scv, exact)])
    if not values.size:
        return []
    said = _named([f"{value:.4g}" for value in values])
    return [f"waits of nodes whose gaps have cv² {said} by (c_a² + c_s²)/2"]


def _named(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[:_MOST_NAMED])} and {len(names) - _MOST_NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
