"""Some nodes of a fleet in parts, for simulation: with reserved shares nodes do not meet, so that some tell of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmcjia_opt.base.arrays import IntArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.model.scenario.as_columns import Fleet
from dmcjia_opt.model.scenario.parquet_nodes import read_parquet
from dmcjia_opt.model.scenario.parted import PartedScenario
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.solving.contract import Placement
from dmcjia_opt.solving.node_rows import rows_in
from dmcjia_opt.solving.parts.auditing import options_in, shares_in

#: Nodes of a sample, unless told otherwise.
NODES = 1000


@dataclass(frozen=True, eq=False)
class Sample:
    """Some nodes of a fleet in parts.

    Parameters
    ----------
    parted
        The fleet.
    rows
        Of each part, which rows, in order.
    seed
        What they were drawn with.
    scenario
        The scenario of these nodes alone.
    """

    parted: PartedScenario
    rows: Sequence[IntArray]
    seed: int
    scenario: Scenario

    @classmethod
    def drawn(cls, parted: PartedScenario, nodes: int = NODES, seed: int = 0) -> Sample:
        """Draw some nodes, each as likely as the others; the same seed always draws the same.

        Raises
        ------
        InputError
            If there are not so many, or a part cannot be read.
        """
        if not 1 <= nodes <= parted.n_nodes:
            raise InputError(f"a sample has 1 to {parted.n_nodes:,} nodes, got {nodes:,}")
        parted.check()
        drawn = np.sort(np.random.default_rng(seed).choice(parted.n_nodes, nodes, replace=False, shuffle=False))
        ends = np.cumsum([part.n_nodes for part in parted.files])
        each = np.split(drawn, np.searchsorted(drawn, ends[:-1]))
        rows = [some - start for some, start in zip(each, [0, *ends[:-1].tolist()], strict=True)]
        on = [place for place, some in enumerate(rows) if some.size]
        table = read_parquet([parted.files[place] for place in on], rows=[rows[place] for place in on])
        return cls(parted, rows, seed, parted.around(table))

    @property
    def in_words(self) -> str:
        """What it is a sample of."""
        return f"{self.scenario.n_nodes:,} of {self.parted.n_nodes:,} nodes, drawn with seed {self.seed}"

    def plan(self, path: Path) -> Placement:
        """Return what a plan of the fleet has these nodes do.

        Parameters
        ----------
        path
            The file of its rows.

        Raises
        ------
        InputError
            If they are not of this fleet.
        """
        import pyarrow as pa

        with rows_in(path) as file:
            sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
            if sizes != [part.n_nodes for part in self.parted.files]:
                raise InputError(f"{path}: its rows are not those of this fleet; simulate a plan with its own scenario")
            found = [file.read_row_group(k).take(some) for k, some in enumerate(self.rows) if some.size]
        table = pa.concat_tables(found).unify_dictionaries().combine_chunks()
        nodes, networks = self.scenario.nodes.names, self.scenario.network_names()
        columns = zip(*(table.column(key).to_pylist() for key in ("name", "model")), strict=True)
        for name, network, said in zip(nodes, networks, columns, strict=True):
            if said != (name, network):
                raise InputError(
                    f'{path}: "{said[0]}" running {said[1]} stands where the scenario has "{name}" running {network}; '
                    "simulate a plan with the scenario it was made for"
                )
        try:
            options = options_in(self.scenario, table)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        shared = [*(s.name for s in self.scenario.all_servers), *(link.name for link in self.scenario.links)]
        return Placement(options, shares_in(path, Fleet.of(self.scenario, shared).at(options), table))
