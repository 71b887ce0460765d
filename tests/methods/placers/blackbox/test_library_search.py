import random
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.methods.placers.blackbox.library_search import LibrarySearch, Manners, draw_seed
from dmcjia_opt.solving.contract import Status, Stop
from dmcjia_opt.testing.doubles import Counting
from dmcjia_opt.testing.problems import random_problem
from tests.methods.placers.searches import assert_its_seed_alone_decides, global_state_kept, place


@pytest.fixture
def four():
    return random_problem(np.random.default_rng(11), 4, 6)[0]


class Rude:
    """Draws from both global generators and warns at every turn."""

    def __init__(self, upper):
        warnings.warn("starting", stacklevel=1)
        self.upper, self.told = upper, []

    def ask(self):
        warnings.warn("asked", stacklevel=1)
        first = random.randrange(self.upper[0] + 1)
        return np.array([first, *(np.random.randint(last + 1) for last in self.upper[1:])])  # noqa: NPY002

    def tell(self, candidates, values):
        warnings.warn("told", DeprecationWarning, stacklevel=1)
        np.random.seed(3)  # noqa: NPY002 - and reseeds, if only now and then
        np.random.seed(len(self.told))  # noqa: NPY002
        self.told.append(values)


@dataclass(frozen=True, slots=True)
class RudeSearch(LibrarySearch):
    library: ClassVar[str] = "Rude"
    evaluations: int = 50
    patience: int = 100
    repair: bool = False
    finite: bool = True
    error: Exception | None = None

    def start(self, problem, stop, rng):
        if self.error is not None:
            raise self.error
        return Rude(problem.last.tolist())


def test_the_seed_alone_decides_and_nothing_is_left_changed(four):
    filters = list(warnings.filters)
    assert_its_seed_alone_decides(RudeSearch(), four, Stop(evaluations=40))
    assert warnings.filters == filters


def test_the_librarys_generators_go_on_from_call_to_call():
    manners = Manners("it", np.random.default_rng(1))
    draws = []
    for _ in range(3):
        with global_state_kept(7), manners.kept():
            draws.append((np.random.random(), random.random()))  # noqa: NPY002
    assert len(set(draws)) == 3
    again = Manners("it", np.random.default_rng(1))
    with again.kept():
        assert [(np.random.random(), random.random()) for _ in range(3)] == draws  # noqa: NPY002


def test_evaluations_happen_outside(four):
    class Noticing(Counting):
        def allocate(self, problem, splits):
            states.append(np.random.get_state()[1][0])  # noqa: NPY002
            with pytest.warns(UserWarning, match="heard"):
                warnings.warn("heard", stacklevel=1)
            return super().allocate(problem, splits)

    states = []
    with global_state_kept(7):
        own = np.random.get_state()[1][0]  # noqa: NPY002
        place(RudeSearch(), four, allocator=Noticing())
    assert set(states) == {own}


def test_a_crash_of_the_library_is_a_failure_with_its_name(four):
    with global_state_kept(7), pytest.raises(BackendFailed, match=r"Rude failed \(KeyError\('inside'\)\); use another"):
        place(RudeSearch(error=KeyError("inside")), four)


def test_our_own_errors_and_interrupts_pass(four):
    with pytest.raises(InputError, match="ours"):
        place(RudeSearch(error=InputError("ours")), four)
    with global_state_kept(7), pytest.raises(KeyboardInterrupt), Manners("it", np.random.default_rng(1)).kept():
        raise KeyboardInterrupt


def test_a_node_with_one_split_is_refused_with_a_sentence():
    problem, _ = random_problem(np.random.default_rng(0), 3, 1)
    assert RudeSearch().supports(problem) == "a node has only one option"


def test_without_a_budget_its_own_evaluations_end_it(four):
    placement = place(RudeSearch(), four)
    assert (placement.evaluations, placement.status) == (50, Status.FEASIBLE)


def test_seeds_suit_every_library():
    seeds = [draw_seed(np.random.default_rng(k)) for k in range(200)]
    assert min(seeds) >= 1
    assert max(seeds) < 2**31 - 1
    assert len(set(seeds)) == 200
