"""Valid documents made invalid, by structure and by bytes; every change is drawn from a seeded generator."""

from __future__ import annotations

import copy
import math
import string
from collections.abc import Mapping
from typing import Any

import numpy as np

NUMBERS = (
    *(0, -1, 1, 2, 7, 0.5, -0.0, -3.5, 1e-30, 1e30, 1e-31, 1e31, 1e15, 1e-15, 1e300, 1e308, -1e308, 1e-300, 5e-324),
    *(math.nan, math.inf, -math.inf, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 10**400),
)
TEXTS = (
    *("", " ", "a", "5.0", "nan", "inf", "1e999", "true", "null", "resnet34", "resnet34 ", "md1", "no-such-thing"),
    *("\x00", "a\x00b", "a\nb", "\x1b[31mred\x1b[0m", "é", "名前", "\u202egnp.exe", "\u2028", "\ud800", "\ufeffx"),
    *("../../../etc/passwd", "/etc/passwd", "/dev/zero", ".", "..", "a/b", "~/x.json", "CON", "x" * 5000, "é" * 300),
    *(
        "<script>alert(1)</script>",
        "</script>",
        "[bold]x[/bold]",
        "[/]",
        "{x}",
        "%s%n",
        "$(id)",
        "=1+1",
        '"',
        "'",
        "\\",
    ),
)


def scalar(rng: np.random.Generator):
    """Return a value that a careless program wrote."""
    kind = rng.integers(10)
    if kind < 5:
        return NUMBERS[rng.integers(len(NUMBERS))]
    if kind < 8:
        return TEXTS[rng.integers(len(TEXTS))]
    return (None, True, False)[rng.integers(3)]


def value(rng: np.random.Generator):
    """Return a scalar, mostly, or something nested."""
    kind = rng.integers(12)
    if kind == 0:
        return []
    if kind == 1:
        return {}
    if kind == 2:
        return [scalar(rng) for _ in range(int(rng.integers(1, 4)))]
    if kind == 3:
        return {str(scalar(rng)): scalar(rng)}
    if kind == 4:
        nested: object = scalar(rng)
        for _ in range(int(rng.choice([2, 20, 150]))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        return nested
    return scalar(rng)


def _places(document, found: list, parent=None, key=None) -> list:
    found.append((parent, key))
    if isinstance(document, dict):
        for each in document:
            _places(document[each], found, document, each)
    elif isinstance(document, list):
        for k in range(len(document)):
            _places(document[k], found, document, k)
    return found


def mutated(document, rng: np.random.Generator, changes: int | None = None):
    """Return a copy of a document of dicts, lists and scalars with one to three changes."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 4)) if changes is None else changes):
        places = _places(document, [])
        parent, key = places[rng.integers(len(places))]
        if parent is None:
            if rng.random() < 0.9:
                continue
            return value(rng)
        _change(parent, key, rng)
    return document


def _is_number(value) -> bool:
    try:
        return not isinstance(value, bool) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


#: Numbers at the ends of ranges, and beyond them.
EXTREMES = (
    *(0, -0.0, 5e-324, -5e-324, 2.3e-308, 1e-300, 1e-101, 1e-80, 1e-31, 1e-30, 1e-16, 1 - 2**-53, 1 + 2**-52, -1, 1.5),
    *(1e15, 2**53, 2**63 - 1, 2**63, 1e30, 1.1e30, -1e30, 1e80, 1e100, -1e100, 1.1e100, 1e154, -1e154, 1e200, 1e290),
    *(1e307, -1e307, 1e308, -1e308, 1.7976931348623157e308, -1.7976931348623157e308, 10**40, 10**400, -(10**400)),
)


def renumbered(document, rng: np.random.Generator):
    """Return a copy of a document with one number, a few or all of one key changed: its structure stays.

    Text that holds a number, as the cells of tables do, counts as one.
    """
    document = copy.deepcopy(document)
    places = [(parent, key) for parent, key in _places(document, []) if parent is not None and _is_number(parent[key])]
    if not places:
        return document
    first = places[rng.integers(len(places))]
    chosen = [first, *(places[k] for k in rng.integers(len(places), size=int(rng.integers(0, 3))))]
    if rng.random() < 0.3:
        chosen += [place for place in places if place[1] == first[1]]
    one = _number(first[0][first[1]], rng)
    for parent, key in chosen:
        old, new = parent[key], one if rng.random() < 0.5 else _number(parent[key], rng)
        if isinstance(old, int) and rng.random() < 0.5 and abs(new) < 1e300:
            new = int(new)
        parent[key] = str(new) if isinstance(old, str) else new
    return document


def _number(old, rng: np.random.Generator):
    kind = rng.integers(4)
    if kind < 2:
        return EXTREMES[rng.integers(len(EXTREMES))]
    old = float(old) if _is_number(old) and abs(float(old)) < 1e200 else 1.0
    return -old if kind == 2 else old * 10.0 ** float(rng.uniform(-60, 60))


def _change(parent, key, rng: np.random.Generator) -> None:
    old = parent[key]
    kind = rng.integers(12)
    if kind < 4:
        parent[key] = value(rng)
    elif kind == 4:
        del parent[key]
    elif kind == 5 and isinstance(parent, dict):
        parent["".join(rng.choice(list(string.ascii_letters + "_ .é"), 6))] = value(rng)
    elif kind == 5:
        parent.insert(int(rng.integers(len(parent) + 1)), value(rng))
    elif kind == 6 and isinstance(parent, dict):
        others = list(parent)
        parent[others[rng.integers(len(others))]] = old
    elif kind == 6:
        parent.append(copy.deepcopy(old))
    elif kind == 7 and isinstance(parent, dict):
        parent[key.upper() if rng.random() < 0.5 else f"{key} "] = parent.pop(key)
    elif kind == 7:
        parent[:] = [parent[k] for k in rng.permutation(len(parent))]
    elif kind == 8 and isinstance(old, list | dict):
        old.clear()
    elif isinstance(old, bool):
        parent[key] = not old
    elif isinstance(old, int | float) and abs(old) < 1e300:
        parent[key] = (-old, old * 10.0 ** float(rng.uniform(-40, 40)), str(old), old + 1)[rng.integers(4)]
    elif isinstance(old, str):
        at = int(rng.integers(len(old) + 1))
        parent[key] = old[:at] + str(TEXTS[rng.integers(len(TEXTS))]) + old[at:]
    else:
        parent[key] = value(rng)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes that a broken transfer, another editor or another locale made of `content`."""
    kind = rng.integers(14)
    n = len(content)
    if n == 0:
        return b"\x00"
    at = int(rng.integers(n))
    if kind == 0:
        return content[:at]
    if kind == 1:
        return b"\xef\xbb\xbf" + content
    if kind == 2:
        return content.replace(b"\n", b"\r\n")
    if kind == 3:
        return content.replace(b"\n", b"\r")
    if kind == 4:
        return content[:at] + bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8)) + content[at:]
    if kind == 5:
        return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]
    if kind == 6:
        return content.replace(b",", (b";", b"\t", b",,")[rng.integers(3)])
    if kind == 7:
        end = min(n, at + int(rng.integers(1, 40)))
        return content[:end] + content[at:end] + content[end:]
    if kind == 8:
        return content[:at] + content[min(n, at + int(rng.integers(1, 40))) :]
    if kind == 9:
        return content.decode("utf-8", "replace").encode("utf-16" if rng.random() < 0.5 else "utf-16-le")
    if kind == 10:
        return content[:at] + b"\x00" * int(rng.integers(1, 5)) + content[at:]
    if kind == 11:
        return content.replace(b'"', (b"'", b'""', b"")[rng.integers(3)])
    if kind == 12:
        return content + content
    return (b"", b"\n", b"\x00" * 100, b"[" * 5000, b'{"a":' * 5000, b"PK\x03\x04", b"a = " + b"[" * 5000)[
        rng.integers(7)
    ]


def changed(document: Any, changes: Mapping[str, object]) -> Any:
    """Return a copy with values at dotted paths; `...` takes the key away."""
    document = copy.deepcopy(document)
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        place = document
        for part in parents:
            place = place[part] if isinstance(part, int) else place.setdefault(part, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return document
