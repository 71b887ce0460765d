"""Layer profiles of well-known networks, computed from their architectures; no weights are needed.

A layer is a weighted one, together with the pooling that follows it; parallel ones of the same depth are one layer.
Its output bytes are what a cut right after it sends in float32: every tensor that crosses the cut, so that a
shortcut's input counts inside a residual block. Only ``resnet34`` is the plain chain that the paper draws (see its
notes). Where the figures of the paper's Table 1 differ from these, the function of the network says why; its
megabytes are MiB of float32 parameters, and its GFLOPS are GMAC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.suggesting import did_you_mean
from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.alexnet import alexnet
from dmcjia_opt.model.networks.zoo.inception import inception_v3
from dmcjia_opt.model.networks.zoo.mobilenet import mobilenet_v2
from dmcjia_opt.model.networks.zoo.resnet import resnet34, resnet50
from dmcjia_opt.model.networks.zoo.vgg import vgg19

ZOO: Mapping[str, Callable[[], LayerProfile]] = MappingProxyType(
    {make.__name__: make for make in (alexnet, inception_v3, mobilenet_v2, resnet34, resnet50, vgg19)}
)


@cache
def zoo_profile(name: str) -> LayerProfile:
    """Return the zoo's profile called `name`.

    Raises
    ------
    InputError
        If the zoo has no such model.
    """
    if name not in ZOO:
        raise InputError(f'unknown model "{name}"{did_you_mean(name, ZOO)}; the zoo has {", ".join(sorted(ZOO))}')
    return ZOO[name]()
