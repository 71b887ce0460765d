"""Folders that are written whole or not at all, and in which nothing of somebody else's is written over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_bytes


def write_new(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if it is not there; the last one is written when all others are.

    Parameters
    ----------
    folder
        The folder.
    files
        Content by the path in it, with forward slashes.

    Raises
    ------
    InputError
        If one is there already with other content, or the folder cannot be written.
    """
    for name, content in files.items():
        if (folder / name).exists() and not _holds(folder / name, content):
            raise InputError(f"{folder / name} is there already, with other content; choose another folder")
    made: list[Path] = []
    try:
        for name, content in files.items():
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise InputError(f"{path.parent}: cannot be made ({error.strerror}); choose another folder") from None
            if not path.exists():
                made.append(path)
                write_bytes(path, content)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False
