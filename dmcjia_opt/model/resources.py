"""What nodes share: servers, links and hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ResourceKind = Literal["server", "link", "host"]
#: How tasks of several nodes meet at a resource: not at all, as each has a share; in one queue; or all at once.
Sharing = Literal["reserved", "fifo", "ps"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing of which nodes have shares.

    Parameters
    ----------
    name
        What its users call it.
    kind
        A server, a link, or a host: the device of several nodes.
    sharing
        ``reserved``: each node has a share; ``fifo``: one queue for all, first come first served; ``ps``: all tasks
        that are there share it equally. The last two are pooled: nobody has a share.
    """

    name: str
    kind: ResourceKind = "server"
    sharing: Sharing = "reserved"

    @property
    def pooled(self) -> bool:
        """Whether tasks of all nodes meet there."""
        return self.sharing != "reserved"

    def __str__(self) -> str:
        return "the cloud" if (self.name, self.kind) == (CLOUD.name, CLOUD.kind) else f'the {self.kind} "{self.name}"'


CLOUD = Resource("cloud")
