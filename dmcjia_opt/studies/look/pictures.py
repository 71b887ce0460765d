"""One look for every figure, and files that are the same bytes for the same data."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from dmcjia_opt.base.errors import BackendMissing
from dmcjia_opt.base.files import write_bytes
from dmcjia_opt.base.machine import installing

try:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ModuleNotFoundError as error:
    raise BackendMissing(f"drawing needs {error.name}; {installing('plot')}") from None

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 150
#: Salt of the identifiers inside an SVG file, which are random without one.
_SALT = "dmcjia_opt"


class Picture(Figure):
    """A figure that a notebook shows by itself, whether or not anything there draws otherwise."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI / 1.5)
        return buffer.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of `width` × `height` inches whose parts keep out of each other's way."""
    figure = Picture(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Axes, title: str, x: str, y: str) -> None:
    """Label axes and take away what does not carry data."""
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write `figure` as PNG and SVG and return their paths."""
    paths = (stem.with_suffix(".png"), stem.with_suffix(".svg"))
    for path in paths:
        save_as(figure, path)
    return paths


def save_as(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG or SVG, by the suffix of `path`."""
    with matplotlib.rc_context({"svg.hashsalt": _SALT, "svg.fonttype": "path"}):
        buffer = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(buffer, format=path.suffix[1:], dpi=DPI, metadata=metadata)
        write_bytes(path, buffer.getvalue())
