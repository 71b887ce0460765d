"""A cluster of real worker processes, one of which dies in the middle."""

import logging
import os
import signal

import psutil
import pytest
from distributed import Client, LocalCluster

from dmcjia_opt.base import clusters
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.studies.bench.folder import read_rows
from dmcjia_opt.studies.bench.rows import Outcome
from dmcjia_opt.studies.bench.running import dask_
from dmcjia_opt.studies.bench.running.runner import Interrupted, run_suite
from tests.studies.bench.small import misbehaving, settled, small_suite
from tests.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # distributed's own sockets, as it shuts down


def children() -> int:
    """Return how many processes this one has started that are still there; called on a Dask worker."""
    return len(psutil.Process().children())


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as found:
        yield found


def test_a_worker_lost_in_the_middle_costs_nothing(cluster, tmp_path):
    suite = small_suite(misbehaving("Slow"), misbehaving("Dies"), seeds=3)
    killed = []

    def kill_one(done, total, fraction):
        if done == 2:
            with Client(cluster.scheduler_address, set_as_default=False) as client:
                killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    rows = run_suite(suite, tmp_path / "out", dask=cluster.scheduler_address, progress=kill_one)
    assert killed
    assert [row.outcome for row in rows] == [Outcome.ANSWER, Outcome.CRASH] * 3
    assert len(read_rows(tmp_path / "out")) == 6
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        assert set(client.run(children).values()) == {0}
    local = run_suite(suite, tmp_path / "local", workers=2)
    assert settled(rows) == settled(local)


def test_interrupted(cluster, tmp_path):
    def interrupt(done, total, fraction):
        raise KeyboardInterrupt

    suite = small_suite(misbehaving("Slow"), seeds=30)
    with pytest.raises(Interrupted, match="interrupted; 1 of 30 runs are kept, go on with --resume"):
        run_suite(suite, tmp_path / "out", dask=cluster.scheduler_address, progress=interrupt)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        until(lambda: not any(client.run(children).values()))
        assert not any(client.processing().values())


def test_a_lost_scheduler_is_a_sentence_and_the_rows_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_, "_SILENT_SECONDS", 0.5)
    suite = small_suite(misbehaving("Slow"), seeds=30)
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, silence_logs=logging.CRITICAL
    ) as cluster:

        def close(done, total, fraction):
            if done == 2:
                cluster.close()

        with pytest.raises(BackendFailed, match=r"is lost; the rows are kept, go on with --resume"):
            run_suite(suite, tmp_path / "out", dask=cluster.scheduler_address, progress=close)
    assert len(read_rows(tmp_path / "out")) >= 2
    dask_.end_here()  # the worker was a thread of this process


def test_no_scheduler(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(BackendFailed, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        run_suite(small_suite("exact"), tmp_path / "out", dask="tcp://127.0.0.1:9")


def test_a_worker_with_other_code_is_refused():
    class Other:
        def scheduler_info(self, n_workers):
            return {"workers": {"tcp://w:1": {}}}

        def run(self, function, on_error):
            return {"tcp://w:1": "0.0.9-abc"}

    with pytest.raises(InputError, match=r"worker tcp://w:1 has another version of dmcjia_opt \(0\.0\.9-abc\)"):
        clusters._same_code(Other(), "tcp://s:1")
