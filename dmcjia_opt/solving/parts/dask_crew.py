"""A crew on a Dask cluster: each worker keeps its parts, and those of a worker that is lost go to the others.

A pass is one message to every worker, with what all parts are asked, and one back, with what its parts come to. How far
a part has come follows from the steps in the message, so that whoever takes it up answers the same to the last bit. The
workers read the parts by the same paths as this process.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dmcjia_opt.base.clusters import client_of
from dmcjia_opt.base.errors import BackendFailed, DmcjiaError, in_one_line
from dmcjia_opt.bounds.crowds import FleetPart
from dmcjia_opt.model.scenario.parted import PartedScenario
from dmcjia_opt.solving.parts.crews import Crew
from dmcjia_opt.solving.parts.shelf import MOST_BYTES, Maker, Question, Shelf

_MOST_LOSSES = 3  # of workers, in one pass
_shelves: dict[str, Shelf] = {}


def answers(token: str, parted: PartedScenario, maker: Maker, places: Sequence[int], question: Question) -> list[Any]:
    """Return what some parts answer; called on a Dask worker, which keeps them until another fleet comes."""
    if token not in _shelves:
        _shelves.clear()
        _shelves[token] = Shelf(parted, maker, MOST_BYTES)
    return [_shelves[token].answer(place, question) for place in places]


@contextmanager
def crew_on_dask(parted: PartedScenario, address: str, maker: Maker = FleetPart) -> Iterator[Crew]:
    """Return a crew of the workers of a cluster.

    Parameters
    ----------
    parted, maker
        The fleet, and what answers for a part.
    address
        Of a scheduler, such as ``tcp://host:8786``, or ``local:N`` for N workers here.

    Raises
    ------
    BackendMissing, BackendFailed, InputError
        If distributed is not installed, no cluster answers, or its workers have other code.

    Examples
    --------
    >>> from dmcjia_opt.solving.parts.crews import Foreman
    >>> from dmcjia_opt.solving.parts.solve_parts import solve_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> fleet = small_parts("folder")
    >>> with crew_on_dask(fleet, "local:2") as crew:  # doctest: +SKIP
    ...     plan = solve_parts(Foreman(fleet, crew))
    ...
    """
    with client_of(address, "leave --dask out", "dask") as client:
        yield _Cluster(client, parted, address, maker)


class _Cluster:
    def __init__(self, client: Any, parted: PartedScenario, address: str, maker: Maker) -> None:  # noqa: ANN401
        self._client, self._parted, self._address, self._maker = client, parted, address, maker
        self._token = secrets.token_hex(8)

    def __call__(self, question: Question) -> Iterator[Any]:
        places, workers = range(len(self._parted.files)), self._workers()
        if isinstance(question.work, str):
            own = [places[k :: len(workers)] for k in range(len(workers))]
        else:  # what is long comes part by part
            own = [range(place, place + 1) for place in places]
        ahead = len(workers)
        running = [self._submit(some, question, workers[k % len(workers)]) for k, some in enumerate(own[:ahead])]
        found: dict[int, Any] = {}
        wanted = 0
        for k, some in enumerate(own):
            found |= dict(zip(some, self._result(running[k], some, question), strict=True))
            running[k] = None  # its answer is freed
            if k + ahead < len(own):
                running.append(self._submit(own[k + ahead], question, workers[k % len(workers)]))
            while wanted in found:
                yield found.pop(wanted)
                wanted += 1

    def _workers(self) -> list[str]:
        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise BackendFailed(f"the Dask cluster at {self._address} has lost all its workers; start some, and again")
        return workers

    def _submit(self, places: Sequence[int], question: Question, worker: str) -> Any:  # noqa: ANN401 - a Future
        own = (self._token, self._parted, self._maker, places, question)
        return self._client.submit(
            answers, *own, workers=[worker], allow_other_workers=True, pure=False, retries=_MOST_LOSSES
        )

    def _result(self, future: Any, places: Sequence[int], question: Question) -> list[Any]:  # noqa: ANN401
        for _ in range(_MOST_LOSSES):
            try:
                return list(future.result())
            except DmcjiaError:
                raise
            except Exception as error:  # noqa: BLE001 - a lost worker shows in many ways
                lost = in_one_line(error)
                future = self._submit(places, question, self._workers()[0])
        raise BackendFailed(f"the Dask cluster at {self._address} lost a part {_MOST_LOSSES} times ({lost})")
