"""The best plan of each instance that a benchmark has met, kept beside its rows: what they can be recomputed from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.studies.bench.library import SAME, Evidence, read_evidence, write_evidence
from dmcjia_opt.studies.bench.rows import Outcome, Row
from dmcjia_opt.studies.bench.runs import Reply

#: The folder of certificates in that of a benchmark.
FOLDER = "certificates"
#: Nodes of the largest instance whose plans are kept.
MOST_NODES = 10_000


class Certificates:
    """Keeps options and prices of the best plan of each instance, of two that are as good the one with better prices.

    Parameters
    ----------
    folder
        That of the benchmark.
    rows
        Those that are there already, with their certificates.
    """

    def __init__(self, folder: Path, rows: Iterable[Row]) -> None:
        self._folder = folder / FOLDER
        self._best: dict[str, tuple[float, float]] = {}
        for row in rows:
            if (self._folder / f"{row.instance}.json").is_file():
                best = self._best.get(row.instance, (math.inf, -math.inf))
                self._best[row.instance] = max((best, _rank(row)), key=lambda pair: (-pair[0], pair[1]))

    def take(self, row: Row, reply: Reply, problem: Problem) -> None:
        """Keep the plan of a verified run if it is the best so far of its instance.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if row.kind != "placer" or row.outcome != Outcome.ANSWER or row.n_nodes > MOST_NODES:
            return
        (objective, bound), (best, known) = _rank(row), self._best.get(row.instance, (math.inf, -math.inf))
        if objective < best * (1 - SAME) or (objective <= best * (1 + SAME) and bound > known):
            path = self._folder / f"{row.instance}.json"
            path.parent.mkdir(exist_ok=True)
            prices = _prices(reply, problem)
            if prices is None:
                prices = read_evidence(path).prices if path.is_file() else np.zeros(problem.n_resources)
            write_evidence(path, row.instance, Evidence(np.asarray(reply.options, dtype=np.int64), prices))
            self._best[row.instance] = objective, max(bound, known)


def _rank(row: Row) -> tuple[float, float]:
    objective = math.inf if row.objective_s is None else row.objective_s
    return objective, -math.inf if row.own_bound_s is None else row.own_bound_s


def _prices(reply: Reply, problem: Problem) -> FloatArray | None:
    """Return the prices (n_resources,) of a reply, None where they are none."""
    if np.shape(reply.prices) != (problem.n_resources,):
        return None
    prices = np.asarray(reply.prices, dtype=np.float64)
    return prices if (np.isfinite(prices) & (prices >= 0)).all() else None
