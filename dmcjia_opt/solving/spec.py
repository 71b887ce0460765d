"""One method: a row of the registry, or what a plug-in says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["allocator", "placer"]


@dataclass(frozen=True, slots=True)
class Spec:
    """One method.

    Parameters
    ----------
    kind
        ``"allocator"`` or ``"placer"``.
    name
        As given on the command line.
    target
        ``"module:Class"``.
    summary
        One line for people who choose.
    exact
        Allocator: the shares are optimal up to a tolerance. Placer: it ends with the optimum.
    requires
        Modules it imports beyond NumPy.
    extra
        The extra of this package that brings them; empty for the core.
    variant
        What may follow a colon in the name, and the first field of the class it sets; empty if nothing may.
    proves
        The bound it returns was derived by this package's own code, not claimed by a solver.
    options
        Fields of the class that this name fixes, with their values.
    baseline
        Placer: it follows a rule instead of searching, and may end without a plan where there are some.
    origin
        What a plug-in comes from: a distribution, or the module or file that was named; empty for our own methods.
    broken
        Why a plug-in cannot be loaded, in one sentence; empty if it can.
    """

    kind: Kind
    name: str
    target: str
    summary: str
    exact: bool = False
    requires: tuple[str, ...] = ()
    extra: str = ""
    variant: str = ""
    proves: bool = False
    options: tuple[tuple[str, bool], ...] = ()
    baseline: bool = False
    origin: str = ""
    broken: str = ""
