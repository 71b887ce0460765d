"""What every reader of files owes about one that it cannot use: an error that is one sentence, with the file's name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dmcjia_opt.base.errors import InputError


def refused(read: Callable[[Path], object], path: Path, *parts: str) -> str:
    """Read a file, which must be refused with a sentence that begins with its name and has every part; return it."""
    with pytest.raises(InputError) as caught:
        read(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence
    return sentence
