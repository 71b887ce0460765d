"""How large the files, fleets and networks may be that a user hands us: beyond it they are refused, with the number.

``docs/file-formats.md`` shows these numbers.
"""

from __future__ import annotations

import os

from dmcjia_opt.base.errors import InputError

_MIB, _GIB = 1 << 20, 1 << 30


#: The most bytes of a file, and what to do about more, by what messages call its kind.
FILES = {
    "the scenario": (64 * _MIB, "put the nodes into a nodes_file"),
    "the nodes": (2 * _GIB, "save the table as .parquet, or split the fleet"),
    "the profile": (16 * _MIB, "join layers between which nobody would split"),
    "the measured times": (64 * _MIB, "leave out devices that no node has"),
    "the recorded times": (64 * _MIB, "record fewer runs"),
    # the largest message that protobuf holds
    "the model": (2 * _GIB, "save the weights as external data, they are not needed here"),
    "the plan": (_GIB, "split the fleet"),
    "the manifest": (256 * _MIB, "deploy a part of the fleet"),
    "the proof": (64 * _MIB, "let verify search for the bound again, without the proof"),
    "the arrival times": (512 * _MIB, "cut the trace"),
    "the speeds of links": (512 * _MIB, "cut the trace"),
    "the problem": (64 * _MIB, "replay a smaller one"),
    "the rows": (_GIB, "start another folder"),
    "the description of the run": (16 * _MIB, "remove it"),
    "the library": (64 * _MIB, "restore it"),
}
#: Nodes of a fleet.
MOST_NODES = 10_000_000
#: Layers of a network.
MOST_LAYERS = 65_535
#: Operators of an ONNX graph, its local functions inlined.
MOST_OPERATORS = 200_000
#: Characters of a name: of a node, a model, a layer, a device.
MOST_CHARACTERS = 1_000
#: No quantity is larger, and none but 0 smaller than 1/MOST: further out, products of them overflow.
MOST = 1e30
#: No number that is claimed of a plan, a proof or a run is larger: with the quantities of a problem it would overflow.
FARTHEST = 1e100
#: Part of the machine's memory that one file, or the tables of one problem, may fill.
MEMORY_PART = 0.25


def memory_bytes() -> int:
    """Return the bytes of memory that this machine has; 8 GiB where its system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 * _GIB


def require_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Refuse what needs more of this machine's memory than `MEMORY_PART`.

    Raises
    ------
    InputError
        With both numbers.
    """
    most = int(MEMORY_PART * memory_bytes())
    if n_bytes > most:
        raise InputError(f"{what} of {n_bytes:,} bytes is refused; the most on this machine is {most:,}: {remedy}")
