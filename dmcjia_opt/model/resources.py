"""What nodes share: servers, links and hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ResourceKind = Literal["server", "link", "host"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing of which nodes have shares.

    Parameters
    ----------
    name
        What its users call it.
    kind
        A server, a link, or a host: the device of several nodes.
    """

    name: str
    kind: ResourceKind = "server"

    def __str__(self) -> str:
        return "the cloud" if self == CLOUD else f'the {self.kind} "{self.name}"'


CLOUD = Resource("cloud")
