"""The process of a server: a queue for each node, whose tasks take what its share lets them."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection

from dmcjia_opt.studies.deploy.node_process import HopJob
from dmcjia_opt.studies.deploy.tensors import Array, TensorEntry, packed, unpacked
from dmcjia_opt.studies.deploy.wire import Sender, accept, connect, receive, reply
from dmcjia_opt.studies.deploy.working import Finished, HalfJob, HalfRunner, Log, Passing, Ready, Reporter, trials


@dataclass(frozen=True, slots=True)
class Tenant:
    """What a server does for a node.

    Parameters
    ----------
    tensors
        What comes in.
    link
        The stage that brings it, None where there is no link.
    half
        What runs, None where results are only taken.
    hop
        Where tasks go then, None where they end here.
    results
        What goes back.
    """

    tensors: tuple[TensorEntry, ...]
    link: int | None
    half: HalfJob | None
    hop: HopJob | None
    results: tuple[TensorEntry, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ServerJob:
    """What a server does for every node that uses it.

    Parameters
    ----------
    tenants
        By the index of the node.
    halves
        All of the networks that it runs, to be timed here where that is asked for.
    paced
        Whether stages take their planned times.
    """

    tenants: Mapping[int, Tenant]
    halves: tuple[HalfJob, ...]
    paced: bool


def server_process(job: ServerJob, line: Connection) -> None:
    """Run a server; on its line it says its port, hears those of others, and says what it saw."""
    reporter = Reporter(line)
    reporter.guarded(partial(_run, job, reporter))


def _run(job: ServerJob, reporter: Reporter) -> None:
    desks = {node: _Desk(node, tenant, reporter, paced=job.paced) for node, tenant in job.tenants.items()}
    with socket.create_server(("127.0.0.1", 0), backlog=len(desks) + 1) as listener:
        reporter.line.send(Ready(listener.getsockname()[1]))
        if reporter.line.recv():
            reporter.line.send(trials(job.halves))
        ports: dict[str, int] = reporter.line.recv()
        for desk in desks.values():
            desk.reach(ports)
        reporter.line.send(Ready())
        readers = []
        for _ in desks:
            node, connection = accept(listener)
            body = partial(desks[node].serve, connection)
            readers.append(threading.Thread(target=reporter.guarded, args=(body,), daemon=True))
            readers[-1].start()
        for reader in readers:
            reader.join()
    reporter.line.send(Finished(Log([moment for desk in desks.values() for moment in desk.log.moments]).table()))


class _Desk:
    """The queue of one node at a server."""

    def __init__(self, node: int, tenant: Tenant, reporter: Reporter, *, paced: bool) -> None:
        self._node, self._tenant, self._reporter, self._paced = node, tenant, reporter, paced
        self.worker = None if tenant.half is None else HalfRunner(tenant.half, paced=paced)
        self.log = Log()
        self._came: queue.SimpleQueue[tuple[int, bytearray, float] | None] = queue.SimpleQueue()
        self._onward: socket.socket | None = None
        self._sender: Sender | None = None

    def reach(self, ports: Mapping[str, int]) -> None:
        """Connect to the next server, if there is one."""
        if self._tenant.hop is not None:
            self._onward = connect(ports[self._tenant.hop.server], self._node)
            self._sender = Sender(self._onward, self._tenant.hop.links, self._reporter.failed)

    def serve(self, connection: socket.socket) -> None:
        """Take tasks from a connection until it closes, and send what comes of them back or on."""
        works = threading.Thread(target=self._reporter.guarded, args=(partial(self._work, connection),), daemon=True)
        works.start()
        if self._onward is not None:
            back = partial(receive, self._onward, partial(reply, connection))
            threading.Thread(target=self._reporter.guarded, args=(back,), daemon=True).start()
        receive(connection, self._take)
        self._came.put(None)
        works.join()
        if self._onward is not None:
            self._onward.close()

    def _take(self, task: int, content: bytearray, at: float) -> None:
        done = time.monotonic()
        if self._tenant.link is not None:
            came = Passing(self._node, self._tenant.link, task, done=done)
            self.log.moments.append(came if self._paced else came._replace(at=done))
        self._came.put((task, content, at if self._paced else done))

    def _work(self, connection: socket.socket) -> None:
        tenant = self._tenant
        while (came := self._came.get()) is not None:
            task, content, at = came
            known: dict[str, Array] = unpacked(tenant.tensors, content)
            if self.worker is not None:
                made, moment = self.worker.serve(self._node, task, at, known)
                self.log.moments.append(moment)
                known, at = known | made, moment.at
            if self._sender is not None and tenant.hop is not None:
                for link, begin, end in self._sender.send(
                    task, packed(tenant.hop.tensors, known, tenant.hop.n_bytes), at
                ):
                    self.log.moments.append(Passing(self._node, link.stage, task, begin, end))
            else:
                reply(connection, task, packed(tenant.results, known, sum(t.n_bytes for t in tenant.results)), at)
