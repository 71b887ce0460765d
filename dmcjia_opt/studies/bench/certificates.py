"""The best plan of each instance that a benchmark has met, kept beside its rows: what they can be recomputed from.

``certificates.jsonl`` is a log like that of rows: a line is added where a better plan is met, and the last of each
instance counts.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import read_bytes
from dmcjia_opt.model.problem import Problem
from dmcjia_opt.studies.bench.library import SAME, Evidence, evidence_from, evidence_in
from dmcjia_opt.studies.bench.rows import Outcome, Row
from dmcjia_opt.studies.bench.runs import Reply

#: The file in the folder of a benchmark.
CERTIFICATES = "certificates.jsonl"
#: Nodes of the largest instance whose plans are kept.
MOST_NODES = 10_000


class Certificates:
    """Keeps options and prices of the best plan of each instance, of two that are as good the one with better prices.

    Parameters
    ----------
    folder
        That of the benchmark; what it holds already is gone on with.

    Raises
    ------
    InputError
        If its certificates are malformed.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CERTIFICATES
        known = {}
        if self._path.is_file():
            known = read_certificates(self._path)
            os.truncate(self._path, self._path.read_bytes().rfind(b"\n") + 1)
        self._best = {name: (objective, bound) for name, (objective, bound, _) in known.items()}
        self._prices = {name: evidence.prices for name, (_, _, evidence) in known.items()}

    def take(self, row: Row, reply: Reply, problem: Problem) -> None:
        """Keep the plan of a verified run if it is the best so far of its instance.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        if row.kind != "placer" or row.outcome != Outcome.ANSWER or row.n_nodes > MOST_NODES:
            return
        objective, bound = _or(row.objective_s, math.inf), _or(row.own_bound_s, -math.inf)
        best, known = self._best.get(row.instance, (math.inf, -math.inf))
        if not (objective < best * (1 - SAME) or (objective <= best * (1 + SAME) and bound > known)):
            return
        prices = _prices(reply, problem)
        if prices is None:
            prices = self._prices.get(row.instance, np.zeros(problem.n_resources))
        self._best[row.instance], self._prices[row.instance] = (objective, max(bound, known)), prices
        evidence = Evidence(np.asarray(reply.options, dtype=np.int64), prices)
        said = {"objective_s": objective, "own_bound_s": None if bound == -math.inf else bound}
        line = json.dumps(evidence_in(row.instance, evidence) | said, allow_nan=False).encode() + b"\n"
        try:
            with self._path.open("ab") as log:
                log.write(line)
                log.flush()
                os.fsync(log.fileno())
        except OSError as error:
            raise InputError(
                f"{self._path}: cannot write ({error.strerror}); make room and go on with --resume"
            ) from None


def read_certificates(path: Path) -> dict[str, tuple[float, float, Evidence]]:
    """Return by instance the objective and the bound, s, that were said of its best plan, and what proves them.

    A last line that was torn is left out.

    Raises
    ------
    InputError
        If a line is malformed.
    """
    content = read_bytes(path, "the library")
    found: dict[str, tuple[float, float, Evidence]] = {}
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        where = f"{path}, line {number}"
        try:
            said = json.loads(line)
            objective, bound = float(said["objective_s"]), _or(said["own_bound_s"], -math.inf)
            name = str(said["name"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{where}: not the plan of an instance ({error!r})") from None
        found[name] = objective, float(bound), evidence_from(said, where)
    return found


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _prices(reply: Reply, problem: Problem) -> FloatArray | None:
    """Return the prices (n_resources,) of a reply, None where they are none."""
    if np.shape(reply.prices) != (problem.n_resources,):
        return None
    prices = np.asarray(reply.prices, dtype=np.float64)
    return prices if (np.isfinite(prices) & (prices >= 0)).all() else None
