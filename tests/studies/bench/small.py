"""Small suites, and rows without what differs from run to run."""

from __future__ import annotations

from dmcjia_opt.solving.contract import Stop
from dmcjia_opt.studies.bench.rows import Row
from dmcjia_opt.studies.bench.suites import Block, Suite
from tests.waiting import PATIENCE

#: Fields of a row that measure, and so differ between two runs of the same.
MEASURED = {"setup_seconds", "wall_seconds", "cpu_seconds", "peak_mb", "started", "load", "trace"}


def small_suite(*methods: str, kind="placer", instances=("paper-n5-s1",), **options) -> Suite:
    """Return a suite of one block; `options` are its settings."""
    settings = {"wall_seconds": PATIENCE, "stop": Stop(evaluations=30), "memory_mb": 160.0} | options
    block = Block(kind=kind, instances=tuple(instances), methods=methods, **settings)
    return Suite(name="small", summary="for tests", blocks=(block,))


def misbehaving(name: str) -> str:
    return f"tests.studies.bench.misbehaving:{name}"


def settled(rows: list[Row]) -> dict[str, dict]:
    """Return rows by key, without what is measured; of a trace, whose steps a limit of time cuts, the end stays."""
    found = {}
    for row in rows:
        content = {key: value for key, value in row.to_dict().items() if key not in MEASURED}
        found[row.key] = content | {"trace": [(count, best) for count, _, best, _ in row.trace[-1:]]}
    return found
