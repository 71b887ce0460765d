"""How files are made: as text, damaged on their way, and of a scenario with its plan and proof."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w

from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import Options
from dmcjia_opt.solving.solve import solve
from dmcjia_opt.solving.verifying import prove
from tests.inputs.mutations import damaged, mutated


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file.

    Parameters
    ----------
    write
        Writes a file into a folder, changed by the function given last, and whatever valid ones it needs.
    use
        Gives it to the public functions; raises `InputError` where the file is refused.
    """

    write: Callable[..., None]
    use: Callable[[Path], None]


def toml(document) -> bytes:
    """Return a document as TOML, with NaN, infinities and characters that TOML cannot hold as they come."""
    return tomli_w.dumps(document).encode("utf-8", "surrogatepass")


def as_json(document) -> bytes:
    return json.dumps(document).encode()


def maybe_damaged(content: bytes, rng: np.random.Generator, change, often: float = 0.25) -> bytes:
    while change is mutated and rng.random() < often:
        content = damaged(content, rng)
    return content


def _plan_folder() -> Mapping[str, bytes]:
    """Return a scenario, its plan and a proof with several cases."""
    import tempfile

    from dmcjia_opt.model.scenario.families import generate

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = generate("homogeneous", nodes=5, seed=0)
        scenario = replace(base, cloud_gflops=30.0, options=Options(delay="md1"))
        scenario.save(folder / "s.toml")
        loaded = load_scenario(folder / "s.toml")
        plan = solve(loaded)
        plan.save(folder / "plan.json")
        prove(loaded, plan).save(folder / "proof.json")
        return {path.name: path.read_bytes() for path in folder.iterdir()}


_PLANNED: dict[str, bytes] = {}


def planned() -> Mapping[str, bytes]:
    """Return the files of a planned scenario, made once."""
    if not _PLANNED:
        _PLANNED.update(_plan_folder())
    return _PLANNED
