"""Layer profiles of well-known networks, computed from their architectures; no weights are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from dmcjia_opt.errors import InputError
from dmcjia_opt.model.profile import LayerProfile
from dmcjia_opt.model.zoo.resnet import resnet34

ZOO: Mapping[str, Callable[[], LayerProfile]] = MappingProxyType({"resnet34": resnet34})


@cache
def zoo_profile(name: str) -> LayerProfile:
    """Return the zoo's profile called `name`.

    Raises
    ------
    InputError
        If the zoo has no such model.
    """
    if name not in ZOO:
        raise InputError(f'unknown model "{name}"; the zoo has {", ".join(sorted(ZOO))}')
    return ZOO[name]()
