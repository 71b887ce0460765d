import signal
import threading

import pytest

from dmcjia_opt import Stop, generate, solve
from dmcjia_opt.base.processes import interrupts_remembered, raise_if_interrupted
from dmcjia_opt.solving.contract import Status


def swallowed():
    try:
        signal.raise_signal(signal.SIGINT)
    except:  # noqa: E722  as pymoo and others do
        return
    raise AssertionError("there was no interrupt")


def test_what_a_library_swallows_is_raised_again():
    before = signal.getsignal(signal.SIGINT)
    with interrupts_remembered():
        raise_if_interrupted()
        swallowed()
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()
    raise_if_interrupted()  # the next search is not interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_a_search_ends_with_its_best_plan_though_the_interrupt_was_swallowed():
    calls = []

    def callback(point):
        if not calls:
            swallowed()
        calls.append(point)

    with interrupts_remembered():
        plan = solve(
            generate("paper", nodes=10, seed=1),
            "genetic:generations=1000000",
            stop=Stop(evaluations=100_000),
            callback=callback,
        )
    assert plan.status == Status.LIMIT
    assert plan.evaluations < 1000


def test_other_threads_leave_the_signal_alone():
    def work():
        with interrupts_remembered():
            assert signal.getsignal(signal.SIGINT) is before

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
