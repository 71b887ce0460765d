import socket
import threading
import time

import numpy as np
import pytest

from dmcjia_opt.studies.deploy.tensors import TensorEntry, drawn, packed, unpacked
from dmcjia_opt.studies.deploy.wire import LinkJob, Lost, Sender, accept, connect, receive, reply
from tests.waiting import Clock


@pytest.fixture
def pair():
    """Return both ends of a connection, the sending one first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = []
        waiting = threading.Thread(target=lambda: found.append(accept(listener)))
        waiting.start()
        sending = connect(listener.getsockname()[1], 7)
        waiting.join()
    node, receiving = found[0]
    assert node == 7
    with sending, receiving:
        yield sending, receiving


def collected(receiving, number, clock=None):
    """Return what comes until so many tasks are there, when by the schedule, and when by a clock."""
    came = {}

    def take(task, content, at):
        came[task] = (bytes(content), at, clock and clock.now)
        if len(came) == number:
            raise StopIteration

    with pytest.raises(StopIteration):
        receive(receiving, take)
    return came


@pytest.mark.parametrize(("waits", "ends"), [(True, [0.03, 0.06, 0.09]), (False, [0.03, 0.04, 0.05])])
def test_tasks_queue_at_a_link_or_overlap(pair, waits, ends, monkeypatch):
    sending, receiving = pair
    told, clock = [], Clock(tick=1e-3)
    monkeypatch.setattr(time, "monotonic", clock.look)
    sender = Sender(sending, (LinkJob(1, 0.03, waits),), told.append)
    start = clock.look()
    contents = [bytes([k]) * 100_000 for k in range(3)]
    times = [sender.send(k, contents[k], start + 0.01 * k) for k in range(3)]
    assert [end - start for ((_, _, end),) in times] == pytest.approx(ends)
    came = collected(receiving, 3, clock)
    for k, ((_, begin, end),) in enumerate(times):
        content, at, moment = came[k]
        assert content == contents[k]
        assert at == end
        assert moment >= end > begin
    assert told == []


def test_of_links_in_a_row_the_first_is_passed_whole(pair):
    sending, receiving = pair
    sender = Sender(sending, (LinkJob(1, 0.02, True), LinkJob(2, 0.01, False)), [].append)
    first, second = sender.send(0, b"a", 5.0), sender.send(1, b"b", 5.0)
    assert [(link.stage, begin, end) for link, begin, end in first] == [(1, 5.0, 5.02), (2, 5.02, pytest.approx(5.03))]
    assert [(link.stage, begin) for link, begin, _ in second] == [(1, 5.02), (2, pytest.approx(5.04))]
    assert {task: content for task, (content, *_) in collected(receiving, 2).items()} == {0: b"a", 1: b"b"}


def test_without_a_link_a_task_is_there_at_once(pair):
    sending, receiving = pair
    assert Sender(sending, (), [].append).send(3, b"", 1.0) == []
    assert collected(receiving, 1)[3][:2] == (b"", 1.0)


def test_who_hears_only_half_a_task_says_so(pair):
    sending, receiving = pair
    reply(sending, 0, b"whole", 1.0)
    sending.sendall(b"\0\0\0\1")
    sending.close()
    came = []
    with pytest.raises(Lost, match="closed in the middle of a task"):
        receive(receiving, lambda task, content, at: came.append(bytes(content)))
    assert came == [b"whole"]


def test_a_connection_that_ends_between_tasks_is_over(pair):
    sending, receiving = pair
    reply(sending, 0, b"whole", 1.0)
    sending.close()
    came = []
    receive(receiving, lambda task, content, at: came.append((task, bytes(content), at)))
    assert came == [(0, b"whole", 1.0)]
    with pytest.raises(Lost, match="before a task was sent"):
        reply(receiving, 1, b"x" * 50_000_000, 1.0)


def test_tensors_come_out_as_they_went_in():
    tensors = [
        TensorEntry(name=f"t{k}", shape=shape, dtype=dtype)
        for k, (shape, dtype) in enumerate([((2, 3), "float32"), ((), "int64"), ((5,), "bool"), ((0, 4), "float16")])
    ]
    values = drawn(tensors, seed=3)
    n_bytes = sum(tensor.n_bytes for tensor in tensors)
    assert n_bytes == 24 + 8 + 5 + 0
    content = packed(tensors, values, n_bytes)
    found = unpacked(tensors, bytearray(content))
    assert list(found) == ["t0", "t1", "t2", "t3"]
    for name, value in found.items():
        assert value.dtype == values[name].dtype
        np.testing.assert_array_equal(value, values[name])


def test_where_the_plan_counts_other_bytes_so_many_travel_and_numbers_are_made_up():
    tensors = [TensorEntry(name="t", shape=(2, 3), dtype="float32")]
    content = packed(tensors, drawn(tensors), 6)
    assert content == bytes(6)
    assert unpacked(tensors, content)["t"].shape == (2, 3)
