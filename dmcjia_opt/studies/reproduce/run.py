"""Runs items, writes what they conclude and joins their pages into one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.processes import Job, run_jobs
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.studies.look.pictures import save_figure
from dmcjia_opt.studies.reproduce.fig4 import FIG4
from dmcjia_opt.studies.reproduce.fig5 import FIG5
from dmcjia_opt.studies.reproduce.fig6 import FIG6
from dmcjia_opt.studies.reproduce.gap import GAP
from dmcjia_opt.studies.reproduce.item import Conclusion, Item
from dmcjia_opt.studies.reproduce.shares import SHARES
from dmcjia_opt.studies.reproduce.table1 import TABLE1
from dmcjia_opt.studies.reproduce.tables import markdown, save_table
from dmcjia_opt.studies.reproduce.true_delay import DELAY

#: Every item by name, in the order of the page.
ITEMS: Mapping[str, Item[Any]] = MappingProxyType(
    {item.name: item for item in (TABLE1, FIG4, FIG5, FIG6, SHARES, GAP, DELAY)}
)
PAGE = "REPRODUCED.md"

_HEAD = """# The paper's evaluation, reproduced

Y. Zheng, "Research on Cloud-edge Joint Task Inference Algorithm in Edge Intelligence" (2021): its tables and figures
computed anew, each beside the proved optimum that the paper lacked. Every number below comes out of the run that wrote
this page; the data are in the CSV files beside it.

Readings common to all items: "1 MHz" is 1 MiB/s; a network's "GFLOPS" are GMAC, and 1 FLOP is counted per MAC as the
paper does; the raw input is ResNet34's float32 tensor unless an item says otherwise; of the paper's C3 we require
stable queues (as its P4 does), because taken literally it forbids cloud-only; the mean is over nodes; "P1, variation"
is mutation per bit (0.01) and "P2" the crossover probability (0.1). Shares inside every search are optimal
(water-filling); the paper's augmented Lagrangian finds the same ones more slowly.
"""


def reproduce(
    names: Sequence[str],
    out: str | Path,
    *,
    seeds: int = 10,
    workers: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Mapping[str, Conclusion]:
    """Compute items and write their data, figures and pages.

    Parameters
    ----------
    names
        Keys of `ITEMS`.
    out
        The folder; it is made if it is missing. Pages that other runs left there are joined in.
    seeds
        Random instances and searches per point. The same number gives the same files, byte for byte.
    workers
        Processes; as many as the machine has cores by default.
    progress
        Called with the fraction done.

    Raises
    ------
    InputError
        If a name is unknown, a number is out of range, or the folder cannot be written.
    """
    for name in (name for name in names if name not in ITEMS):
        hint = did_you_mean(name, ITEMS)
        raise InputError(f'nothing to reproduce is called "{name}"{hint}; choose of {", ".join(ITEMS)}')
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, got {workers}")
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot make the folder ({error.strerror}); choose another one") from None
    items = [item for item in ITEMS.values() if item.name in names]
    jobs = {item.name: item.jobs(seeds) for item in items}
    everything: list[Job[Any]] = [job for item in items for job in jobs[item.name]]
    total, spent = sum(job.cost for job in everything), 0.0

    def done(cost: float) -> None:
        nonlocal spent
        spent += cost
        if progress is not None:
            progress(spent / total)

    results = run_jobs(everything, workers or os.cpu_count() or 1, done)
    conclusions = {}
    for item in items:
        own, results = results[: len(jobs[item.name])], results[len(jobs[item.name]) :]
        conclusions[item.name] = item.conclude(seeds, own)
        _write(item, conclusions[item.name], out)
    pages = [(out / f"{name}.md").read_text(encoding="utf-8") for name in ITEMS if (out / f"{name}.md").is_file()]
    write_text(out / PAGE, "\n".join([_HEAD, *pages]))
    return conclusions


def _write(item: Item[Any], conclusion: Conclusion, out: Path) -> None:
    for stem, table in conclusion.tables.items():
        save_table(table, out / stem)
    if conclusion.figure is not None:
        save_figure(conclusion.figure, out / item.name)
    parts = [f"## {item.title}\n", conclusion.text]
    if conclusion.statements:
        rows = [(s.claim, "holds" if s.holds else "**does not hold**", s.evidence) for s in conclusion.statements]
        lines = markdown(("what the paper says", "here", "our numbers"), rows).splitlines()
        lines[1] = "| :-- | :-- | :-- |"
        parts.append("\n".join(lines) + "\n")
    write_text(out / f"{item.name}.md", "\n".join(parts))
