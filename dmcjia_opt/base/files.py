"""Files in and out: reading within limits, validation errors as one sentence, writing that is whole or not at all."""

from __future__ import annotations

import codecs
import math
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dmcjia_opt.base.call import reading, redirected, writing
from dmcjia_opt.base.errors import InputError, shortened
from dmcjia_opt.base.limits import FILES, require_memory
from dmcjia_opt.base.showing import described
from dmcjia_opt.base.suggesting import did_you_mean, listed, nearest

_LONGEST_KEY, _MOST_PROBLEMS, _MOST_SUGGESTED = 60, 100_000, 1000
Model = TypeVar("Model", bound=BaseModel)


def check_readable(path: Path, what: str) -> None:
    """Refuse what is no file, or too large to be read.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, a key of `FILES`.

    Raises
    ------
    InputError
        If it is missing, no regular file, larger than its limit or than this machine can take, or written by this call.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot read {what} ({_reason(error)})") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: cannot read {what} (Is a directory); name a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: cannot read {what}: a pipe or a device is no file; save its content in one")
    most, remedy = FILES[what]
    if status.st_size > most:
        raise InputError(f"{path}: {what} of {status.st_size:,} bytes is refused; the most is {most:,}: {remedy}")
    require_memory(status.st_size, f"{path}: {what}", remedy)
    reading(path, what)


def path_of(given: str | Path) -> Path:
    """Return what is given as a path.

    Raises
    ------
    InputError
        If it is none.
    """
    if not isinstance(given, str | Path):
        raise InputError(f"the path of a file is needed, got {described(given)}")
    return Path(given)


def read_bytes(path: str | Path, what: str) -> bytes:
    """Return the content of a file; parameters and errors as of `check_readable`."""
    path = path_of(path)
    check_readable(path, what)
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read {what} ({_reason(error)})") from None


def read_text(path: str | Path, what: str, form: str) -> str:
    """Return the content of a text file in UTF-8, with or without a byte order mark, its line ends as they are.

    Parameters and errors are those of `check_readable`, and `form` is what the text should be, such as CSV.
    """
    try:
        return read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not {form} in UTF-8: {error.reason} at byte {error.start:,}; save it as UTF-8"
        ) from None


def read_json(path: str | Path, what: str, model: type[Model]) -> Model:
    """Return a JSON file as a pydantic model; parameters and errors as of `check_readable`."""
    content = read_bytes(path, what).removeprefix(codecs.BOM_UTF8)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        named = "" if Path(path).suffix.lower() == ".json" else f"; {what} is a .json file"
        raise InputError(f"{path}: {explain(error, model)}{named}") from None


def finite_or_null(value: float) -> float | None:
    """Return a number as JSON has it: what is infinite, or no number, is null there."""
    return float(value) if math.isfinite(value) else None


def is_beneath(folder: Path, reference: str) -> bool:
    """Return whether a path that a file in `folder` names is in that folder, wherever links lead."""
    try:
        return (folder / reference).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # a ring of links, a name too long, a name that is none
        return False


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


#: Held by the run that writes in a folder.
LOCK = ".lock"


def explain(error: ValidationError, model: Any = None) -> str:  # noqa: ANN401 - any annotation
    """Return validation errors as one line that names each field, a dozen at most, and counts the rest.

    Parameters
    ----------
    error
        What pydantic says. Unknown keys go first: each is often the misspelling that makes another one missing.
    model
        The type that was validated, whose keys are then suggested.
    """
    if error.error_count() > _MOST_PROBLEMS:
        return f"{error.error_count():,} problems, more than can be named; it is another kind of file, or broken"
    details = error.errors(include_url=False)
    unknown: list[str] = []
    meant = set[tuple[int | str, ...]]()
    hints: dict[tuple[int | str, ...], tuple[str, Sequence[str]]] = {}
    for detail in (detail for detail in details if detail["type"] == "extra_forbidden"):
        *table, key = detail["loc"]
        kind = tuple(part for part in detail["loc"] if isinstance(part, str))  # the same in all rows of a list
        if kind not in hints and len(hints) < _MOST_SUGGESTED:
            keys = _keys_at(model, table)
            known = f"; remove it, or write one of {', '.join(keys)}" if keys and not unknown else ""
            hint = did_you_mean(str(key), keys) or known or "; remove it or correct its spelling"
            hints[kind] = hint, nearest(str(key), keys)[:1]
        hint, ours = hints.get(kind, ("", ()))
        meant |= {(*table, name) for name in ours}
        unknown.append(f'unknown key "{_place(detail["loc"])}"{hint}')
    others = [
        d for d in details if d["type"] != "extra_forbidden" and not (d["type"] == "missing" and d["loc"] in meant)
    ]
    return listed([*unknown, *map(_sentence, others)])


def _sentence(detail: ErrorDetails) -> str:
    where = _place(detail["loc"])
    if detail["type"] == "missing":
        return f'"{where}" is missing; add it'
    shown = repr(detail["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = detail["msg"][0].lower() + detail["msg"][1:]
    if detail["type"] == "literal_error":
        shown += did_you_mean(str(detail["input"]), re.findall("'([^']*)'", message))
    return f'"{where}": {message}, got {shown}' if where else message


def _place(location: Sequence[int | str]) -> str:
    where = ""
    for part in filter(lambda part: part != "", location):  # "" stands for one kind of a union
        shown = shortened(str(part), _LONGEST_KEY)
        where += f"[{part}]" if isinstance(part, int) else f".{shown}" if where else shown
    return where


def _keys_at(kind: Any, location: Sequence[int | str]) -> list[str]:  # noqa: ANN401 - any annotation
    """Return the keys that a table may have which lies at a location of something of the type `kind`."""
    for part in location:
        inside = [model.model_fields[part].annotation for model in _models(kind) if part in model.model_fields]
        kind = inside[0] if inside else kind
    return [field.alias or name for model in _models(kind) for name, field in model.model_fields.items()]


def _models(kind: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401
    """Yield the tables in an annotation: of a list, of a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from _models(inner)


def path_from(folder: Path, file: Path) -> str:
    """Return where `file` is from `folder`, with forward slashes; its whole path where no relative one leads there."""
    try:
        return Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return file.resolve().as_posix()


def write_text(path: str | Path, text: str) -> None:
    """Write `text` so that the file appears whole or not at all.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written, or this call reads the file or has written it otherwise.
    """
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` so that the file appears whole or not at all (see `write_text`)."""
    path = path_of(path)
    if redirected(path, content):
        return
    with whole_file(path, content) as temporary, temporary.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def whole_file(path: Path, content: bytes = b"") -> Iterator[Path]:
    """Return a file to write, which becomes `path` where all went well, and is gone otherwise.

    `content` is what it will hold, where that is known (see `call.writing`); errors are those of `write_text`.
    """
    writing(path, content)
    temporary = path.parent / f".{secrets.token_hex(8)}"
    try:
        try:
            yield temporary
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(
            f"{path}: cannot write ({error.strerror}); choose a folder that exists and is writable"
        ) from None


def lock(folder: Path) -> IO[str]:
    """Return a file that keeps other runs out of `folder` until it is closed, also by the end of this process.

    Raises
    ------
    InputError
        If another run holds it.
    OSError
        If the folder cannot be written.
    """
    stream = (folder / LOCK).open("w", encoding="utf-8")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        stream.close()
        raise InputError(
            f"--out {folder}: another run is writing here; wait for its end or choose another folder"
        ) from None
    return stream
