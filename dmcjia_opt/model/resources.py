"""What nodes share: servers, links and hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from dmcjia_opt.model.sharing.batches import Batches
from dmcjia_opt.model.sharing.crowding import Pooled
from dmcjia_opt.model.sharing.fifo import Fifo
from dmcjia_opt.model.sharing.ps import ProcessorSharing

ResourceKind = Literal["server", "link", "host"]
Sharing = Literal["reserved", "fifo", "ps"]

#: The kinds of sharing in which nobody has a share.
POOLED: Mapping[str, Pooled] = MappingProxyType({kind.name: kind for kind in (Fifo(), ProcessorSharing())})


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that nodes share.

    Parameters
    ----------
    name
        What its users call it.
    kind
        A server, a link, or a host: the device of several nodes.
    sharing
        "reserved" where every user has a share of its own, "fifo" for one queue, "ps" for processor sharing. Two
        resources of one name and kind are the same, however they are shared.
    batches
        (size, seconds) of the batches in which one queue is served, by size; nothing where it is one by one.

    Examples
    --------
    >>> from dmcjia_opt.model.resources import Resource
    >>> str(Resource("cell-3", "link"))
    'the link "cell-3"'
    """

    name: str
    kind: ResourceKind = "server"
    sharing: Sharing = field(default="reserved", compare=False)
    batches: tuple[tuple[int, float], ...] = field(default=(), compare=False)

    @property
    def pooled(self) -> Pooled | None:
        """The law of its users' delays where nobody has a share; None where shares are reserved."""
        return Batches(self.batches) if self.batches and self.sharing == "fifo" else POOLED.get(self.sharing)

    def __str__(self) -> str:
        return "the cloud" if (self.name, self.kind) == (CLOUD.name, CLOUD.kind) else f'the {self.kind} "{self.name}"'


CLOUD = Resource("cloud")
