"""Files in and out: validation errors as one sentence, and writing that is whole or not at all."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from dmcjia_opt.errors import InputError

#: Held by the run that writes in a folder.
LOCK = ".lock"


def explain(error: ValidationError) -> str:
    """Return the first validation error as one sentence that names the field, and counts the rest.

    An unknown key goes first: it is often the misspelling that makes another one missing.
    """
    details = sorted(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    first = details[0]
    where = ""
    for part in first["loc"]:
        where += f"[{part}]" if isinstance(part, int) else f".{part}" if where else str(part)
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


def check_destination(option: str, path: Path | None) -> None:
    """Raise InputError, naming the option, where no file can be written to `path`; None asks for none."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise InputError(f"{option} {path}: this is a folder; add the file's name")


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
        If the folder is missing or cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write `content` so that the file appears whole or not at all (see `write_text`)."""
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
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
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise InputError(
            f"--out {folder}: another run is writing here; wait for its end or choose another folder"
        ) from None
    return stream


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
