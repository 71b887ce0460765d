"""Files in and out: reading within limits, validation errors as one sentence, writing that is whole or not at all."""

from __future__ import annotations

import codecs
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import IO, TypeVar

from pydantic import BaseModel, ValidationError

from dmcjia_opt.base.call import reading, redirected, writing
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.limits import FILES, require_memory

_LONGEST_KEY, _MOST_PROBLEMS = 60, 1000
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


def read_bytes(path: str | Path, what: str) -> bytes:
    """Return the content of a file; parameters and errors as of `check_readable`."""
    path = Path(path)
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
        raise InputError(f"{path}: not {form} in UTF-8: {error.reason} at byte {error.start:,}") from None


def read_json(path: str | Path, what: str, model: type[Model]) -> Model:
    """Return a JSON file as a pydantic model; parameters and errors as of `check_readable`."""
    content = read_bytes(path, what).removeprefix(codecs.BOM_UTF8)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{path}: {explain(error)}") from None


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


def explain(error: ValidationError) -> str:
    """Return the first validation error as one sentence that names the field, and counts the rest.

    An unknown key goes first: it is often the misspelling that makes another one missing.
    """
    if error.error_count() > _MOST_PROBLEMS:
        return f"{error.error_count():,} problems, more than can be named; it is another kind of file, or broken"
    details = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = details[0]
    where = ""
    for part in filter(lambda part: part != "", first["loc"]):  # "" stands for one kind of a union
        shown = str(part) if len(str(part)) <= _LONGEST_KEY else f"{str(part)[:_LONGEST_KEY]}…"
        where += f"[{part}]" if isinstance(part, int) else f".{shown}" if where else shown
    if first["type"] == "extra_forbidden":
        sentence = f'unknown key "{where}"; remove it or correct its spelling'
    elif first["type"] == "missing":
        sentence = f'"{where}" is missing; add it'
    else:
        shown = repr(first["input"])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        message = first["msg"][0].lower() + first["msg"][1:]
        sentence = f'"{where}": {message}, got {shown}' if where else message
    more = len(details) - 1
    return sentence + (f" (and {more} more problem{'s' if more > 1 else ''})" if more else "")


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
    path = Path(path)
    if redirected(path, content):
        return
    writing(path, content)
    temporary = path.parent / f".{secrets.token_hex(8)}"
    try:
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
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
