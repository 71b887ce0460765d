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
