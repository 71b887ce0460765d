"""Servers and links that nodes share, as a scenario file has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.entries import TableEntry
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import STRICT, Name, NonNegative, Positive
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario.nodes import NodeTable
from dmcjia_opt.model.sharing.batches import MOST_TASKS

#: What the server of ``[cloud]`` is called.
CLOUD_NAME = "cloud"
#: Keys of servers and links that say what they cost; no plan depends on them.
COSTS = frozenset({"price_per_gflops", "step_gflops", "price_per_mbps", "step_mbps"})
_FROZEN = ConfigDict(frozen=True, **STRICT)


def _named(seconds: object) -> object:
    """Return a mapping with texts as keys, as files have it; numbers in Python are the same."""
    return {str(size): value for size, value in seconds.items()} if isinstance(seconds, Mapping) else seconds


def _batches(seconds: dict[str, float]) -> dict[str, float]:
    """Return seconds by the size of a batch, the smallest first, or raise what pydantic reports."""
    for size in seconds:
        if not (size.isascii() and size.isdigit() and 1 <= int(size) <= MOST_TASKS and size[0] != "0"):
            whole = "must have whole numbers of tasks as keys, from 1 to {most}, not {size}"
            raise PydanticCustomError("batch", whole, {"most": MOST_TASKS, "size": f'"{size[:20]}"'})
    sizes = sorted(seconds, key=int)
    if "1" not in seconds or len(sizes) < 2:
        raise PydanticCustomError("batch", "must have the seconds of 1 task and of larger batches, as {example}", _LIKE)
    for less, more in pairwise(sizes):
        if seconds[more] < seconds[less]:
            slower = "must not fall: a batch of {more} takes less than one of {less}"
            raise PydanticCustomError("batch", slower, {"more": more, "less": less})
    return {size: seconds[size] for size in sizes}


_LIKE = {"example": "{1 = 0.004, 8 = 0.011}"}
#: Seconds by the number of tasks in a batch.
SecondsByBatch = Annotated[dict[str, Positive], BeforeValidator(_named), AfterValidator(_batches)]


def batches_of_cloud(seconds: Mapping[int, float] | Mapping[str, float]) -> dict[str, float]:
    """Return what a file would have of seconds by the size of a batch.

    Raises
    ------
    InputError
        If sizes or seconds are impossible.
    """
    try:
        return TypeAdapter(SecondsByBatch).validate_python(seconds, strict=True)
    except ValidationError as error:
        raise InputError(f"cloud: seconds_by_batch {error.errors()[0]['msg']}") from None


class Server(TableEntry):
    """One ``[[servers]]`` entry; ``device`` names measured times in place of ``compute_gflops``.

    ``rtt_ms`` is the round trip to it where a node has none of its own, ``link`` what everything sent to it crosses
    behind the node's own link. ``price_per_gflops`` and ``step_gflops`` are what more of it costs and in which steps it
    is sold; plans do not depend on them. ``sharing`` says whether each node has a share of it, or tasks of all meet.
    ``seconds_by_batch`` makes one queue serve in batches: how long they take, by the number of tasks.

    Examples
    --------
    >>> from dmcjia_opt import Server
    >>> Server("site-a", compute_gflops=60, rtt_ms=2)
    Server(name='site-a', compute_gflops=60.0, rtt_ms=2.0)
    """

    model_config = _FROZEN
    name: Name
    compute_gflops: Positive
    device: Name | None = None
    rtt_ms: NonNegative = 0.0
    link: Name | None = None
    price_per_gflops: Positive | None = None
    step_gflops: Positive | None = None
    sharing: Sharing = "reserved"
    seconds_by_batch: SecondsByBatch | None = None

    @property
    def batches(self) -> tuple[tuple[int, float], ...]:
        """(size, seconds) of its batches, by size; nothing where tasks are served one by one."""
        return tuple((int(size), seconds) for size, seconds in (self.seconds_by_batch or {}).items())


class Link(TableEntry):
    """One ``[[links]]`` entry: what several nodes send over, in Mbit/s (10⁶ bit/s).

    ``price_per_mbps`` and ``step_mbps`` are what more of it costs and in which steps it is sold. ``sharing`` is as that
    of a server.

    Examples
    --------
    >>> from dmcjia_opt import Link
    >>> Link("cell-3", mbps=50)
    Link(name='cell-3', mbps=50.0)
    """

    model_config = _FROZEN
    name: Name
    mbps: Positive
    price_per_mbps: Positive | None = None
    step_mbps: Positive | None = None
    sharing: Sharing = "reserved"


class Host(TableEntry):
    """One ``[[hosts]]`` entry: how the nodes of a host share it, where they do not have reserved shares.

    Examples
    --------
    >>> from dmcjia_opt import Host
    >>> Host("jetson-1", sharing="fifo")
    Host(name='jetson-1', sharing='fifo')
    """

    model_config = _FROZEN
    name: Name
    sharing: Sharing = "reserved"


def check_names_of_resources(servers: Sequence[Server], links: Sequence[Link], nodes: NodeTable) -> None:
    """Refuse resources of one name, and names that nothing has.

    Raises
    ------
    InputError
        With the nearest name there is.
    """
    kinds = {"servers": [s.name for s in servers], "links": [link.name for link in links], "host": nodes.host.values}
    seen: dict[str, str] = {}
    for kind, names in kinds.items():
        for name in names:
            if name in seen:
                also = f"a name in {kind}" if seen[name] == kind else f"in {seen[name]} and in {kind}"
                raise InputError(f'"{name}" is used twice, {also}; give every server, link and host its own')
            seen[name] = kind
    for server in servers:
        if server.link is not None and seen.get(server.link) != "links":
            raise _unknown(f'link of the server "{server.name}"', server.link, kinds["links"], "[[links]]")
    for name in nodes.link.values:
        if seen.get(name) != "links":
            raise _unknown(_whose(nodes, "link", name), name, kinds["links"], "[[links]]")
    for key in ("servers", "tiers"):
        for several in getattr(nodes, key).values:
            for name in several:
                if seen.get(name) != "servers":
                    raise _unknown(_whose(nodes, key, several), name, kinds["servers"], "[[servers]]")


def check_hosts(nodes: NodeTable, hosts: Sequence[Host]) -> None:
    """Refuse nodes of one host that disagree about its device, and hosts that no node has.

    Raises
    ------
    InputError
        With two of them, or the nearest name there is.
    """
    names = [host.name for host in hosts]
    for name in names:
        if name not in nodes.host.values:
            hint = did_you_mean(name, nodes.host.values)
            raise InputError(f'hosts: no node has the host "{name}"{hint}; name it as host of its nodes, or remove it')
        if names.count(name) > 1:
            raise InputError(f'hosts: "{name}" is there twice; keep one')
    on = np.flatnonzero(nodes.host.index >= 0)
    used, first, place = np.unique(nodes.host.index[on], return_index=True, return_inverse=True)
    for key, column in (("compute_gflops", nodes.compute_gflops), ("device", nodes.device_index)):
        other = np.flatnonzero(column[on] != column[on[first]][place])
        for d in on[other[:1]]:
            host = int(np.searchsorted(used, nodes.host.index[d]))
            raise InputError(
                f'"{nodes.names[on[first[host]]]}" and "{nodes.names[d]}" run on the host "{nodes.host.at(d)}" and '
                f"have another {key}; give the nodes of a host the same"
            )


def hosts_in_common(nodes: NodeTable) -> Mapping[int, str]:
    """Return the hosts that several nodes have, by their index in the column."""
    counts = np.bincount(nodes.host.index[nodes.host.index >= 0], minlength=len(nodes.host.values))
    return {k: host for k, host in enumerate(nodes.host.values) if counts[k] > 1}


def _whose(nodes: NodeTable, key: str, value: object) -> str:
    labels = getattr(nodes, key)
    on = np.flatnonzero(labels.index == labels.values.index(value))
    return f'{key} of "{nodes.names[on[0]]}"' if on.size else key


def _unknown(what: str, name: str, names: Sequence[str], table: str) -> InputError:
    return InputError(f'{what}: there is no "{name}" in {table}{did_you_mean(name, names)}; correct it, or add it')
