"""Dask clusters: a client of one that runs elsewhere, or of one on this machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dmcjia_opt.base.errors import BackendFailed, BackendMissing, InputError
from dmcjia_opt.base.machine import installing, revision

_CONNECT_SECONDS = 10.0
_LOCAL = "local:"
_ADDRESS = re.compile(r"[a-z]+://\S+|[^/\s]+:\d{1,5}")


@contextmanager
def client_of(address: str, otherwise: str, extra: str) -> Iterator[Any]:
    """Return a client of the scheduler at an address, or of N workers here where that is ``local:N``.

    Parameters
    ----------
    address
        Such as ``tcp://host:8786``.
    otherwise
        What to do without a cluster, for the sentence.
    extra
        What installs Dask.

    Raises
    ------
    BackendMissing, BackendFailed, InputError
        If distributed is not installed, the scheduler cannot be reached or has no workers, the address is none, or a
        worker has other code.
    """
    try:
        from distributed import Client, LocalCluster
    except ModuleNotFoundError:
        raise BackendMissing(f"--dask needs distributed; {installing(extra)}") from None
    if not address.startswith(_LOCAL):
        if not _ADDRESS.fullmatch(address):  # before a client is half made
            raise InputError(
                f"--dask {address}: give the scheduler's address with its port, as in tcp://host:8786, or local:2"
            )
        with _connected(Client, address, address, otherwise) as client:
            yield client
        return
    number = address.removeprefix(_LOCAL)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= 10_000):
        raise InputError(f"--dask {address}: say how many workers, as in local:2")
    options = {"n_workers": int(number), "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(**options) as cluster, _connected(Client, cluster, address, otherwise) as client:
        client.wait_for_workers(int(number), timeout=60.0)
        yield client


@contextmanager
def _connected(kind: Any, cluster: Any, address: str, otherwise: str) -> Iterator[Any]:  # noqa: ANN401
    try:
        client = kind(cluster, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        what = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BackendFailed(f"no Dask scheduler answers at {address} ({what}); start one, or {otherwise}") from None
    try:
        _same_code(client, address)
        yield client
    finally:
        client.close(timeout=2.0)


def _same_code(client: Any, address: str) -> None:  # noqa: ANN401 - a distributed.Client
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if not workers and not address.startswith(_LOCAL):
        raise BackendFailed(f"the Dask scheduler at {address} has no workers; start one with: dask worker {address}")
    for worker, found in client.run(revision, on_error="return").items():
        if found != revision():
            raise InputError(
                f"the Dask worker {worker} has another version of dmcjia_opt ({found}) than this one ({revision()}); "
                "install the same everywhere"
            )
