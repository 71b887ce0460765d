"""What of a scenario is probably not meant: quantities in another unit, resources that change nothing."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from dmcjia_opt.base.errors import Doubt
from dmcjia_opt.base.quantities import PLAUSIBLE, doubt
from dmcjia_opt.base.suggesting import listed
from dmcjia_opt.model.scenario.nodes import OPTIONAL, QUANTITIES
from dmcjia_opt.model.scenario.servers import CLOUD_NAME, hosts_in_common

if TYPE_CHECKING:
    from dmcjia_opt.model.scenario.nodes import NodeTable
    from dmcjia_opt.model.scenario.scenario import Scenario


def doubt_units(scenario: Scenario, where: str) -> None:
    """Warn, beginning with `where`, of quantities that are probably in another unit (see `quantities`)."""
    doubt_nodes(scenario.nodes, where)
    servers, links = scenario.all_servers, scenario.links
    for server in servers:
        key = "cloud.compute_gflops" if server.name == CLOUD_NAME else "servers.compute_gflops"
        doubt(key, server.compute_gflops, where)
    doubt("rtt_ms", np.array([server.rtt_ms for server in servers]), where, [server.name for server in servers])
    if links:
        doubt("links.mbps", np.array([link.mbps for link in links]), where, [link.name for link in links])
    doubt("options.flops_per_mac", scenario.options.flops_per_mac, where)


def doubt_nodes(nodes: NodeTable, where: str) -> None:
    """Warn of quantities of nodes alone: what a large fleet shares may be as large."""
    for key in (*QUANTITIES, *(key for key in OPTIONAL if key in PLAUSIBLE and nodes.has(key))):
        doubt(key, getattr(nodes, key), where, nodes.names)


def doubt_unused(scenario: Scenario, where: str) -> None:
    """Warn of servers, links and hosts that change nothing."""
    nodes, used = scenario.nodes, set().union(*scenario.servers_of_networks().values())
    crossed = {*nodes.link.values, *(server.link for server in scenario.all_servers if server.name in used)}
    alone = [host for host in nodes.host.values if host not in hosts_in_common(nodes).values()]
    for what, names, why in (
        (
            "server",
            [s.name for s in scenario.all_servers if s.name not in used],
            "no node may use it; name it in servers",
        ),
        ("link", [k.name for k in scenario.links if k.name not in crossed], "nothing crosses it; name it as a link"),
        ("host", alone, "one node runs on it and has it to itself; name it for the others too"),
    ):
        if names:
            shown = listed([f'"{name}"' for name in names], what=what)
            warnings.warn(f"{where}: the {what} {shown} has no effect: {why}, or remove it", Doubt, stacklevel=3)
