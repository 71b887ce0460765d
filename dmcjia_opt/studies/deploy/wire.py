"""What goes over sockets: tasks in chunks, each when a link of its bandwidth would have let it through."""

from __future__ import annotations

import heapq
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dmcjia_opt.base.errors import BackendFailed

_HEADER = struct.Struct("!IIId")  # task, its bytes, those of this chunk, when it has come at last
#: Bytes of a task on its way.
MOST_SENT = 2**32 - 1
_HELLO = struct.Struct("!I")
_CHUNK_BYTES, _CHUNK_SECONDS, _MOST_CHUNKS = 4096, 1e-3, 64


class Lost(BackendFailed):
    """The other end of a connection is gone; whoever runs the processes knows why."""


@dataclass(frozen=True, slots=True)
class LinkJob:
    """One link: which stage it is, how long a task takes, and whether tasks wait for each other or overlap."""

    stage: int
    service: float
    waits: bool


def sleep_until(moment: float) -> None:
    """Return at a moment of the monotonic clock, or at once if it has passed."""
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def connect(port: int, node: int) -> socket.socket:
    """Return a connection to a server of this machine for the tasks of a node."""
    found = socket.create_connection(("127.0.0.1", port))
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.sendall(_HELLO.pack(node))
    return found


def accept(listener: socket.socket) -> tuple[int, socket.socket]:
    """Return the next connection, and the node whose tasks it carries."""
    found, _ = listener.accept()
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return int(_HELLO.unpack(_exactly(found, _HELLO.size))[0]), found


def receive(connection: socket.socket, take: Callable[[int, bytearray, float], None]) -> None:
    """Hand on every task that comes, with its bytes and when it came by its schedule, until the other end closes.

    Raises
    ------
    Lost
        If that is in the middle of a task.
    """
    parts: dict[int, bytearray] = {}
    while head := _exactly(connection, _HEADER.size, end=True):
        task, total, length, at = _HEADER.unpack(head)
        content = parts.setdefault(task, bytearray())
        content += _exactly(connection, length)
        if len(content) == total:
            take(task, parts.pop(task), at)
    if parts:
        raise Lost("a connection closed in the middle of a task")


def reply(connection: socket.socket, task: int, content: bytes | bytearray, at: float) -> None:
    """Send a task as it is, without any link.

    Raises
    ------
    Lost
        If the other end is gone.
    """
    try:
        connection.sendall(_HEADER.pack(task, len(content), len(content), at) + content)
    except OSError:
        raise Lost("a connection closed before a task was sent") from None


def _exactly(connection: socket.socket, n_bytes: int, *, end: bool = False) -> bytes:
    found = bytearray()
    while len(found) < n_bytes:
        try:
            part = connection.recv(n_bytes - len(found))
        except OSError:
            part = b""
        if not part:
            if end and not found:
                return b""
            raise Lost("a connection closed in the middle of a task")
        found += part
    return bytes(found)


class Sender:
    """Sends tasks over links in a row, the last of which is a connection: chunk by chunk, as their bandwidth lets them.

    Each link is a token bucket that holds one chunk: where tasks wait, one task has all of it; else each has the
    bandwidth to itself, as the paper's uplink, and their chunks mix. Links before the last are passed whole.

    Parameters
    ----------
    connection
        Where the last link ends.
    links
        In the order in which tasks pass them.
    failed
        Told of what goes wrong.
    """

    def __init__(
        self, connection: socket.socket, links: Sequence[LinkJob], failed: Callable[[BaseException], None]
    ) -> None:
        self._connection, self._links, self._failed = connection, links, failed
        self._free = [-math.inf] * len(links)
        self._due: list[tuple[float, int, bytes]] = []
        self._number, self._changed = 0, threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, task: int, content: bytes, at: float) -> list[tuple[LinkJob, float, float]]:
        """Begin to send a task that is there `at`; return when it begins and has passed each link, by the schedule."""
        times, start = [], at
        for k, link in enumerate(self._links):
            start = max(at, self._free[k]) if link.waits else at
            at = self._free[k] = start + link.service
            times.append((link, start, at))
        n = self._chunks(len(content), at - start)
        edges = [len(content) * k // n for k in range(n + 1)]
        with self._changed:
            for k in range(n):
                chunk = content[edges[k] : edges[k + 1]]
                head = _HEADER.pack(task, len(content), len(chunk), at)
                heapq.heappush(self._due, (start + (at - start) * (k + 1) / n, self._number, head + chunk))
                self._number += 1
            self._changed.notify()
        return times

    @staticmethod
    def _chunks(n_bytes: int, seconds: float) -> int:
        return max(1, min(math.ceil(n_bytes / _CHUNK_BYTES), math.ceil(seconds / _CHUNK_SECONDS), _MOST_CHUNKS))

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._due or (left := self._due[0][0] - time.monotonic()) > 0:
                        self._changed.wait(left if self._due else None)
                    chunk = heapq.heappop(self._due)[2]
                self._connection.sendall(chunk)
        except OSError:
            self._failed(Lost("a connection closed before a task was sent"))
        except BaseException as error:  # noqa: BLE001 - a thread has nobody else to tell
            self._failed(error)
