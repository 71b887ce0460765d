"""A base for placers that put a library's ask-and-tell optimiser to work, and the manners it is held to."""

from __future__ import annotations

import random
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from dmcjia_opt.base.errors import BackendFailed, DmcjiaError
from dmcjia_opt.methods.placers.blackbox.asktell import CallingPlacer, MeanDelay, Searcher, ask_and_tell
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.solving.contract import AnyChoice, Stop


class Manners:
    """Calls of a library without traces outside: no warnings, no draws from the process's generators.

    Libraries draw from NumPy's global generator, and from Python's, beside the one they are given. While they run
    both have a state of their own, derived from `rng`: the same seed gives the same plan, and nobody else's draws
    change. Not for use by several threads at once: both generators belong to the process.

    Parameters
    ----------
    library
        What to call it in a message.
    rng
        Seeds the library's state of the global generators.
    """

    def __init__(self, library: str, rng: np.random.Generator) -> None:
        self.library = library
        seed = draw_seed(rng)
        self._numpy: Any = np.random.RandomState(seed).get_state(legacy=False)
        self._python: Any = random.Random(seed).getstate()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Run what is inside as the library's.

        Raises
        ------
        BackendFailed
            If it raises an error.
        """
        numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - see the class
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        except DmcjiaError:
            raise
        except Exception as error:
            raise BackendFailed(f"{self.library} failed ({error!r}); use another placer") from error
        finally:
            self._numpy, self._python = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
            np.random.set_state(numpy_state)  # noqa: NPY002
            random.setstate(python_state)


def draw_seed(rng: np.random.Generator) -> int:
    """Return a seed that every library takes: 1 … 2^31 − 2."""
    return int(rng.integers(1, 2**31 - 1))


class LibrarySearch(AnyChoice, CallingPlacer):
    """A placer that asks a library's optimiser for plans; a subclass builds the optimiser.

    Attributes
    ----------
    library
        What to call the library in a message.
    """

    __slots__ = ()

    library: ClassVar[str]
    patience: int

    @abstractmethod
    def start(self, problem: Problem, stop: Stop, rng: np.random.Generator) -> Searcher:
        """Return a fresh optimiser over the options of `problem` for a budget of `stop`."""

    def run(self, f: MeanDelay, stop: Stop, rng: np.random.Generator) -> None:
        """Ask the optimiser, evaluate, and tell it; evaluations happen outside of its manners."""
        manners = Manners(self.library, rng)
        with manners.kept():
            searcher = self.start(f.problem, stop, rng)
        ask_and_tell(searcher, f, self.patience, manners.kept)
