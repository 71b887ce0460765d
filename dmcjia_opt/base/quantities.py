"""What is plausible of each quantity in the unit of its key or column: a value beyond is doubted, not refused."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import Doubt


class Plausible(NamedTuple):
    """The unit of a quantity, the least and most that anybody has, and units in which it is large or small by mistake.

    `units` are (name, how many of them make one of `unit`): those above 1 are suspected where a value is too large,
    those below 1 where it is too small.
    """

    unit: str
    least: float
    most: float
    units: Sequence[tuple[str, float]]


#: By key of a file; one with a dot belongs to that table of a scenario.
PLAUSIBLE: Mapping[str, Plausible] = MappingProxyType(
    {
        "compute_gflops": Plausible("GFLOP/s", 1e-4, 1e6, (("MFLOP/s", 1e3), ("FLOP/s", 1e9), ("TFLOP/s", 1e-3))),
        "cloud.compute_gflops": Plausible("GFLOP/s", 1e-3, 1e8, (("MFLOP/s", 1e3), ("FLOP/s", 1e9), ("TFLOP/s", 1e-3))),
        "servers.compute_gflops": Plausible(
            "GFLOP/s", 1e-3, 1e8, (("MFLOP/s", 1e3), ("FLOP/s", 1e9), ("TFLOP/s", 1e-3))
        ),
        "links.mbps": Plausible("Mbit/s", 1e-4, 1e7, (("kbit/s", 1e3), ("bit/s", 1e6), ("Gbit/s", 1e-3))),
        "uplink_mbps": Plausible("Mbit/s", 1e-4, 4e5, (("kbit/s", 1e3), ("bit/s", 1e6), ("Gbit/s", 1e-3))),
        "arrival_rate": Plausible("tasks/s", 1e-7, 1e5, ()),
        "input_bytes": Plausible("byte", 1.0, 1e10, (("MB", 1e-6),)),
        "downlink_mbps": Plausible("Mbit/s", 1e-4, 4e5, (("kbit/s", 1e3), ("bit/s", 1e6), ("Gbit/s", 1e-3))),
        "rtt_ms": Plausible("ms", 1e-3, 1e4, (("µs", 1e3), ("s", 1e-3))),
        "result_bytes": Plausible("byte", 1.0, 1e10, (("MB", 1e-6),)),
        "memory_mb": Plausible("MB", 0.01, 1e6, (("KB", 1e3), ("byte", 1e6), ("GB", 1e-3))),
        "energy_j": Plausible("J", 1e-6, 1e6, (("mJ", 1e3), ("kJ", 1e-3))),
        "joule_per_gflop": Plausible("J/GFLOP", 1e-5, 1e4, (("mJ/GFLOP", 1e3),)),
        "transmit_watts": Plausible("W", 1e-4, 1e4, (("mW", 1e3),)),
        "deadline_ms": Plausible("ms", 1.0, 1e6, (("µs", 1e3), ("s", 1e-3))),
        "options.flops_per_mac": Plausible("FLOP", 0.5, 4.0, ()),
        "seconds": Plausible("s", 0.0, 100.0, (("ms", 1e3), ("µs", 1e6), ("ns", 1e9))),
    }
)


def unit_of_key(key: str) -> str:
    """Return the unit of a key in brackets, empty where it has none."""
    return f" ({PLAUSIBLE[key].unit})" if key in PLAUSIBLE else ""


def doubt(key: str, values: FloatArray | float, where: str, names: Sequence[str] = ()) -> None:
    """Warn of values that are probably in another unit; 0, NaN and what no check lets pass are left alone.

    Parameters
    ----------
    key
        The quantity, a key of `PLAUSIBLE`.
    values
        (n,) or one, in the unit of the key.
    where
        What the sentence begins with: a file, an option.
    names
        (n,) whose values they are.

    Warns
    -----
    Doubt
        In one sentence, whatever the number of values.
    """
    plausible, array = PLAUSIBLE[key], np.atleast_1d(values)
    odd = np.flatnonzero((array > plausible.most) | ((array < plausible.least) & (array > 0)))
    if not odd.size:
        return
    value = float(array[odd[0]])
    large = value > plausible.most
    likely = [name for name, size in plausible.units if (size > 1) == large and _fits(plausible, value / size)]
    likely = likely or [name for name, size in plausible.units if (size > 1) == large][-1:]
    asked = f"did you mean {plausible.unit}, not {likely[0]}?" if likely else "check its unit"
    of = f' of "{names[odd[0]]}"' if names else ""
    more = f" (and {len(odd) - 1:,} more like it)" if len(odd) > 1 else ""
    limit = f"more than {plausible.most:,.12g}" if large else f"less than {plausible.least:g}"
    shown = f"{value:,.12g}" if large else f"{value:.4g}"
    warnings.warn(f"{where}: {key}{of} is {shown} {plausible.unit}, {limit}{more}; {asked}", Doubt, stacklevel=2)


def _fits(plausible: Plausible, value: float) -> bool:
    return 1e3 * plausible.least <= value <= plausible.most / 1e2
