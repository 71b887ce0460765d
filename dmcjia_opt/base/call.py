"""What one call of a command reads and writes, so that it writes over nothing that it reads or writes otherwise.

A command says beforehand which files it will write (`claim`), whoever reads a file says so (`reading`), and whoever
writes one asks (`redirected`, `writing`). Outside of `one_call`, as in Python, everybody writes where they like.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

from dmcjia_opt.base.errors import InputError

#: The name that stands for standard output.
STDOUT = Path("-")

_OWN_NAME = "give each its own name"


class _Call:
    def __init__(self) -> None:
        self.claimed: dict[object, tuple[str, Path, str]] = {}  # by every mark: option, path, as what it may be read
        self.read: dict[object, str] = {}  # by every mark: what was read, and where
        self.done: set[object] = set()
        self.stdout: TextIO | None = None  # where the one output goes that asked for it


_CALL: ContextVar[_Call | None] = ContextVar("call", default=None)


@contextmanager
def one_call() -> Iterator[None]:
    """Watch over the files of one call of a command."""
    plain, token = sys.stdout, _CALL.set(_Call())
    try:
        yield
    finally:
        _CALL.reset(token)
        sys.stdout = plain


def claim(option: str, path: Path, suffixes: tuple[str, ...] = (), *, stdout: bool = False, updates: str = "") -> None:
    """Say that this call will write to `path`, before anything is computed.

    Parameters
    ----------
    option
        The option that asks for it.
    path
        The file; `STDOUT` sends it to standard output, and what is said else to standard error.
    suffixes
        How its name may end, in lower case; empty for a folder.
    stdout
        Whether it may go to standard output.
    updates
        As what the file may be read before it is written anew, such as "the measured times"; empty for nothing.

    Raises
    ------
    InputError
        If no file can be written there, or the call reads it or writes it otherwise.
    """
    if path == STDOUT and not stdout:
        raise InputError(f"{option} -: this cannot go to standard output; name a file or folder")
    try:
        if path != STDOUT:
            _check(option, path, suffixes)
    except OSError as error:
        raise InputError(f"{option} {path}: cannot write ({error.strerror}); choose another name") from None
    call = _CALL.get()
    if call is None:
        return
    marks = _marks(path)
    for mark in marks & call.claimed.keys():
        raise InputError(f"{option} {path}: {call.claimed[mark][0]} asks for the same file; {_OWN_NAME}")
    for mark in marks & call.read.keys():
        raise InputError(f"{option} {path}: {call.read[mark]} would be written over; {_OWN_NAME}")
    call.claimed |= dict.fromkeys(marks, (option, path, updates))
    if path == STDOUT:
        call.stdout, sys.stdout = sys.stdout, sys.stderr


def _check(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    if not suffixes:
        if path.exists() and not path.is_dir():
            raise InputError(f"{option} {path}: this is a file; name a folder")
        return
    if not path.parent.is_dir():
        raise InputError(f"{option} {path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise InputError(f"{option} {path}: this is a folder; add the file's name")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{option} {path}: the folder {path.parent} cannot be written; choose another one")
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: let the name end in {' or '.join(suffixes)}")
    if path.exists() and not path.is_file():
        raise InputError(f"{option} {path}: a pipe or a device is no file; choose another name")


def reading(path: Path, what: str) -> None:
    """Say that this call reads `path`, which holds `what`.

    Raises
    ------
    InputError
        If the call will write it.
    """
    call = _CALL.get()
    if call is None:
        return
    marks = _marks(path)
    for option, named, updates in (call.claimed[mark] for mark in marks & call.claimed.keys()):
        if what == updates:
            return
        raise InputError(f"{option} {named}: {what} in {path} would be written over; {_OWN_NAME}")
    call.read |= dict.fromkeys(marks, f"{what} in {path}")


def redirected(path: Path, content: bytes) -> bool:
    """Return whether `path` is standard output, where `content` is now."""
    call = _CALL.get()
    if call is None or call.stdout is None or path != STDOUT:
        return False
    call.stdout.write(content.decode())
    call.stdout.flush()
    return True


def writing(path: Path, content: bytes) -> None:
    """Say that this call writes `content` to `path` now.

    Raises
    ------
    InputError
        If it has read or written something else there.
    """
    call = _CALL.get()
    if call is None:
        return
    marks = _marks(path)
    for mark in marks & (call.read.keys() | call.done):
        with suppress(OSError):
            if path.read_bytes() == content:
                break  # nothing is lost
        what = call.read.get(mark, "what was just written")
        raise InputError(f"{path}: {what} would be written over; choose another folder or name")
    call.done |= {mark for mark in marks if isinstance(mark, str)}  # a number may be given to another file


def _marks(path: Path) -> set[object]:
    """Return what a file is known by: where links lead, whatever the case, and its number if it is there."""
    if path == STDOUT:
        return {STDOUT}
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError, ValueError):  # a ring of links, a name that is none
        resolved = path.absolute()
    marks: set[object] = {unicodedata.normalize("NFC", str(resolved)).casefold()}
    with suppress(OSError, ValueError):
        status = path.stat()
        marks.add((status.st_dev, status.st_ino))
    return marks
