"""The colours of every figure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Told apart by people with any colour vision (Okabe & Ito 2008).
COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "black": "#000000",
        "orange": "#E69F00",
        "sky": "#56B4E9",
        "green": "#009E73",
        "blue": "#0072B2",
        "red": "#D55E00",
        "pink": "#CC79A7",
        "grey": "#8C8C8C",
    }
)
#: One colour for each stage of a delay, wherever it is drawn. Of three of these colours no others that leave red and
#: green alone are further apart to the colour-blind; what is beside the stages has the rest.
STAGES: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("edge", "device"), COLOURS["blue"])
    | dict.fromkeys(("upload", "network"), COLOURS["orange"])
    | dict.fromkeys(("cloud", "servers"), COLOURS["sky"])
    | {"total": COLOURS["pink"], "deadline": COLOURS["red"]}
)
