"""Halves and deployments on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape

from dmcjia_opt.cli.show import console, show_table, table_of
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.studies.deploy.halves import Half, Parts, TensorType


def show_halves(profile: LayerProfile, parts: Parts, halves: Sequence[Half], paths: Sequence[Path]) -> None:
    """Print the parts of a network, and what crosses each cut."""
    table = table_of("part", "layers", numbers=("GMAC", "weights and graph"), prose=("from it goes on",))
    for half, path in zip(halves, paths, strict=True):
        macs = float(profile.work[half.end] - profile.work[half.start])
        onward = ", ".join(map(tensor_in_words, (parts.type_of(name) for name in parts.crossing(half.end))))
        layers = f"{half.start + 1} to {half.end}"
        table.add_row(escape(str(path)), layers, f"{macs / 1e9:.4g}", f"{len(half.content):,} bytes", escape(onward))
    show_table(table, f"{profile.name} in {len(halves)} parts")
    console().print("On random input the parts give what the whole gives.")


def tensor_in_words(tensor: TensorType) -> str:
    """Return the name, the shape and the type of a tensor."""
    return f"{tensor.name} {'x'.join(map(str, tensor.shape)) or 'scalar'} {tensor.dtype}"
