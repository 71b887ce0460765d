"""Mutates files until something gives: ``python -m tests.inputs.drive FORMAT NUMBER [SEED]``.

Prints every new kind of defect, with the seed that brings it back, and how many files were refused and accepted.
"""

from __future__ import annotations

import faulthandler
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from tests.inputs.formats import FORMATS, refusal
from tests.waiting import ends


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "dmcjia_opt" in f.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"


def drive(name: str, number: int, seed: int) -> Counter[str]:
    """Use `number` mutated files of one format."""
    found: Counter[str] = Counter()
    folder = Path(tempfile.mkdtemp())
    for k in range(seed, seed + number):
        for path in folder.iterdir():
            path.unlink()
        rng = np.random.default_rng([k, *name.encode()])
        FORMATS[name].write(folder, rng)
        (folder / "seed").write_text(str(k), encoding="utf-8")
        try:
            with ends():
                error = refusal(FORMATS[name], folder)
            found["accepted" if error is None else type(error).__name__] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = _where(error)
            if not found[where]:
                print(f"{name} seed {k}: {where}: {str(error)[:300]!r}", flush=True)
            found[where] += 1
    shutil.rmtree(folder)
    print(f"{name}: {dict(found)}", flush=True)
    return found


if __name__ == "__main__":
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    warnings.simplefilter("error")
    kinds = list(FORMATS) if sys.argv[1] == "all" else sys.argv[1].split(",")
    for kind in kinds:
        drive(kind, int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
