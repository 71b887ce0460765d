"""Halves and deployments on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from dmcjia_opt.cli.show import console, show_table, table_of
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.studies.deploy.halves import Divisible, Half
from dmcjia_opt.studies.deploy.manifest import Manifest


def show_halves(profile: LayerProfile, parts: Divisible, halves: Sequence[Half], paths: Sequence[Path]) -> None:
    """Print the parts of a network, and what crosses each cut."""
    table = table_of("part", "layers", numbers=("GMAC", "weights and graph"), prose=("from it goes on",))
    for half, path in zip(halves, paths, strict=True):
        macs = float(profile.work[half.end] - profile.work[half.start])
        onward = ", ".join(str(parts.type_of(name)) for name in parts.crossing(half.end))
        layers = f"{half.start + 1} to {half.end}"
        table.add_row(escape(str(path)), layers, f"{macs / 1e9:.4g}", f"{len(half.content):,} bytes", escape(onward))
    show_table(table, f"{profile.name} in {len(halves)} parts")
    console().print("On random input the parts give what the whole gives.")


def show_deployment(manifest: Manifest, folder: Path) -> None:
    """Print what every half is, and who runs it."""
    table = table_of("half", "layers", numbers=("nodes",), prose=("runs on", "reads"))
    for half in manifest.halves:
        users = [(node, stage) for node in manifest.nodes for stage in node.stages if stage.half == half.file]
        places = dict.fromkeys("its node" if s.slot in ("edge", "host") else s.stage for _, s in users)
        table.add_row(
            escape(half.file),
            f"{half.start + 1} to {half.end} of {len(manifest.network(half.model).layers)}",
            f"{len({node.name for node, _ in users}):,}",
            escape(", ".join(places)),
            escape(", ".join(map(str, half.inputs))),
        )
    show_table(table, f"{manifest.scenario}: {len(manifest.nodes):,} node{'s' if len(manifest.nodes) > 1 else ''}")
    console().print(f"Written to {escape(str(folder))}; run it here with: dmcjia run {escape(str(folder))}")
