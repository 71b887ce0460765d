"""The archive of benchmarks: a folder a submission, and what is checked before one is added.

A submission is ``submission.toml``, which says who ran it on what, and a folder a suite as `dmcjia bench` writes it:
``rows.parquet`` or ``rows.jsonl``, ``run.json`` and ``certificates.jsonl``. Nothing of it is believed: instances are
known by their hashes, certificates are recomputed, and no row may contradict them or the instance library.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmcjia_opt.base.errors import DmcjiaError, InputError
from dmcjia_opt.base.files import explain, read_text
from dmcjia_opt.bounds.certificate import relative_gap
from dmcjia_opt.model.scenario.compiling import compile_problem
from dmcjia_opt.studies.bench.certificates import CERTIFICATES, read_certificates
from dmcjia_opt.studies.bench.claims import BOUND_TOLERANCE
from dmcjia_opt.studies.bench.folder import ROWS, RUN, TABLE
from dmcjia_opt.studies.bench.instances import generated, is_name
from dmcjia_opt.studies.bench.library import DUAL, Library, recomputed
from dmcjia_opt.studies.bench.results import Results, load
from dmcjia_opt.studies.bench.rows import Outcome

ABOUT = "submission.toml"
#: Bytes of a whole submission.
MOST_BYTES = 20_000_000
#: Nodes of the largest instance that is generated to look its name up.
_MOST_GENERATED = 1000
_KEPT = {ROWS, TABLE, RUN, CERTIFICATES}
_NAME = r"[a-z0-9][a-z0-9.-]*"


class About(BaseModel):
    """``submission.toml``: name of the submission and of its folder, who ran it, when, on which machine, in words."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    name: Annotated[str, Field(pattern=f"^{_NAME}$")]
    who: Annotated[str, Field(min_length=1)]
    date: date
    machine: Annotated[str, Field(min_length=1)]
    about: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Submission:
    """What a folder of the archive holds: what is said of it, and the results of each suite by name."""

    folder: Path
    about: About
    suites: Mapping[str, Results]


def load_submission(folder: str | Path) -> Submission:
    """Read a submission; nothing of it is checked yet but that it can be read.

    Raises
    ------
    InputError
        If a file is missing or malformed.
    """
    folder = Path(folder)
    path = folder / ABOUT
    try:
        about = About.model_validate(tomllib.loads(read_text(path, "the description of the run", "a TOML file")))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error, About)}") from None
    suites = {each.name: load(each) for each in sorted(folder.iterdir()) if each.is_dir()}
    if not suites:
        raise InputError(f"{folder}: there is no folder of a suite; put those that dmcjia bench wrote beside {ABOUT}")
    return Submission(folder, about, suites)


def submissions(archive: str | Path) -> list[Submission]:
    """Return every submission of an archive, the oldest first.

    Raises
    ------
    InputError
        If there is none, or one cannot be read.
    """
    found = [load_submission(path.parent) for path in sorted(Path(archive).glob(f"*/{ABOUT}"))]
    if not found:
        raise InputError(f"{archive}: there is no submission, a folder with {ABOUT}")
    return sorted(found, key=lambda each: (each.about.date, each.about.name))


def complaints(submission: Submission, library: Library) -> list[str]:
    """Return what is not true of a submission, or missing, a sentence each; nothing where it may be added.

    Certificates are recomputed from their splits and prices. A row may not be better than the best plan that is known,
    in its certificate or the library, nor prove a bound above it, and its gap is that of its own numbers.
    """
    said = list(_of_files(submission))
    for suite, results in submission.suites.items():
        said += [f"{suite}: {sentence}" for sentence in _of_suite(submission.folder / suite, suite, results, library)]
    return said


def _of_files(submission: Submission) -> Iterator[str]:
    folder, name = submission.folder, submission.about.name
    if folder.resolve().name != name:
        yield f'{ABOUT}: it is called "{name}", and its folder "{folder.resolve().name}"; rename one of them'
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    if size > MOST_BYTES:
        yield f"it has {size:,} bytes, the most is {MOST_BYTES:,}; leave rows.jsonl out, rows.parquet says the same"
    for path in files:
        parts = path.relative_to(folder).parts
        if parts != (ABOUT,) and (len(parts) != 2 or parts[1] not in _KEPT):
            yield f"{path.relative_to(folder)}: no file of a benchmark; remove it"


def _of_suite(folder: Path, suite: str, results: Results, library: Library) -> Iterator[str]:
    rows = results.rows
    if not results.run.get("machine") or not results.run.get("versions"):
        yield f"{RUN} must say machine and versions, as dmcjia bench writes it"
    if other := sorted(set(rows["suite"]) - {suite}):
        yield f"its rows are of the suite {', '.join(other)}; call the folder like the suite"
    known = _best_known(folder, rows, library)
    yield from (sentence for sentence in known.values() if isinstance(sentence, str))
    for sentence, group in _wrong(rows, known, library).items():
        more = f" and {len(group) - 3} more" if len(group) > 3 else ""
        yield f"{sentence}: {', '.join(group[:3])}{more}"


def _best_known(folder: Path, rows: pd.DataFrame, library: Library) -> dict[str, float | str]:
    """Return by instance the best objective, s, that a plan is at hand of; a sentence where a certificate is false."""
    path = folder / CERTIFICATES
    certificates = read_certificates(path) if path.is_file() else {}
    best: dict[str, float | str] = {}
    for name in dict.fromkeys(rows["instance"].map(_fleet)):
        best[name] = library.best[name].objective_s if name in library.best else math.inf
        if name not in certificates:
            continue
        try:
            problem = compile_problem(generated(name) if is_name(name) else library.instance(name).load())
            objective, _ = recomputed(problem, certificates[name][2], DUAL)
        except DmcjiaError as error:
            best[name] = f"{CERTIFICATES}: {name}: {error}"
            continue
        if not math.isfinite(objective):
            best[name] = f"{CERTIFICATES}: {name}: its splits are no plan"
        else:
            best[name] = min(objective, float(best[name]))
    return best


def _wrong(rows: pd.DataFrame, known: Mapping[str, float | str], library: Library) -> dict[str, list[str]]:
    """Return the rows that are wrong, by what is wrong with them."""
    found: dict[str, list[str]] = {}
    hashes: dict[str, str] = {}
    for row in rows.to_dict("records"):
        name = _fleet(row["instance"])
        if name not in hashes:
            hashes[name] = _hash_of(name, int(row["n_nodes"]), library)
        best = known[name]
        for sentence in _of_row(row, hashes[name], best if isinstance(best, float) else math.nan):
            found.setdefault(sentence, []).append(f"{row['method']} on {row['instance']}")
    return found


def _of_row(row: Mapping[Any, Any], sha256: str, best: float) -> Iterator[str]:
    if not sha256:
        yield "an instance that is neither of the library nor small enough to be generated by name"
        return
    if row["instance_sha256"] != sha256:
        yield "another instance of that name: its hash is not that of the library"
    objective, bound, own = (float(row[key]) for key in ("objective_s", "lower_bound_s", "own_bound_s"))
    if row["kind"] == "allocator":
        return
    if (row["outcome"] == str(Outcome.ANSWER)) != math.isfinite(objective):
        yield "an answer without an objective, or an objective without an answer"
    both = math.isfinite(objective) and math.isfinite(bound)
    if both and not math.isclose(row["gap"], relative_gap(objective, bound), rel_tol=1e-6, abs_tol=1e-14):
        yield "a gap that is not (objective − bound)/objective"
    if row["kind"] != "placer" or math.isnan(best):
        return
    if objective < best * (1 - BOUND_TOLERANCE):
        yield "a plan better than any that is known, without its certificate"
    if own > best * (1 + BOUND_TOLERANCE) or bound > best * (1 + BOUND_TOLERANCE):
        yield "a proved bound above a plan that exists"


def _hash_of(name: str, nodes: int, library: Library) -> str:
    if name in library.index:
        return library.index[name].sha256
    return generated(name).sha256() if is_name(name) and nodes <= _MOST_GENERATED else ""


def _fleet(instance: str) -> str:
    """Return the name of the instance without the trace that policies are replayed along."""
    return instance.partition(" ")[0]
