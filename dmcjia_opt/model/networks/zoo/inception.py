"""Inception-v3 (Szegedy et al. 2016, doi:10.1109/CVPR.2016.308)."""

from __future__ import annotations

from typing import NamedTuple

from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.layers import Chain, activation_bytes, conv_weights


class _Conv(NamedTuple):
    """A convolution: output channels, kernel height and width, side of the output."""

    channels: int
    height: int
    width: int
    size: int


_Step = tuple[_Conv, ...]  # convolutions of the same input, whose outputs are joined
_Branch = tuple[_Step, ...]


def inception_v3() -> LayerProfile:
    """Return Inception-v3 on a 3 × 299 × 299 float32 input, as a chain of 48 levels.

    Inside a module the k-th convolutions of all branches are one level; a branch that has ended waits. A cut after a
    level sends what every branch has by then, pooled where a branch only pools, so that every cut is a real one. The
    auxiliary classifier is left out: inference does not run it (23,834,568 parameters; with it 27,161,264).

    Notes
    -----
    Table 1 has 46 layers and 89 MB. The 48 here are the depth of the network, 47 convolutions on the longest path
    and the classifier; no count we know gives 46, and the source speaks of 42. The parameters are 90.9 MiB; 89 MB is
    what a widely used table (github.com/albanie/convnet-burden: 91 MB of parameters, 89 MB of features, 6 GFLOPs)
    has for the memory of this network's *features*. Its 6 GFLOPS are 5.71 GMAC, rounded.
    """
    chain = Chain(channels=3, size=299)
    chain.conv("conv1", 32, 3, 149)
    chain.conv("conv2", 32, 3, 147)
    chain.conv("conv3", 64, 3, 147)
    chain.pool(73)
    chain.conv("conv4", 80, 1, 73)
    chain.conv("conv5", 192, 3, 71)
    chain.pool(35)
    # Fig. 5 of the source; one of its branches keeps a 5 × 5, as implementations do
    for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
        double = _line(35, (64, 1, 1), (96, 3, 3), (96, 3, 3))
        single = _line(35, (48, 1, 1), (64, 5, 5))
        _module(chain, f"mixed5{letter}_", _line(35, (64, 1, 1)), single, double, _line(35, (pooled, 1, 1)))
    # the reduction of Fig. 10 from 35 × 35 to 17 × 17
    double = (*_line(35, (64, 1, 1), (96, 3, 3)), *_line(17, (96, 3, 3)))
    _module(chain, "mixed6a_", _line(17, (384, 3, 3)), double, pool_to=17)
    # Fig. 6: 7 × 7 convolutions in two parts
    for letter, c in zip("bcde", (128, 160, 160, 192), strict=True):
        once = _line(17, (c, 1, 1), (c, 1, 7), (192, 7, 1))
        twice = _line(17, (c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7))
        _module(chain, f"mixed6{letter}_", _line(17, (192, 1, 1)), once, twice, _line(17, (192, 1, 1)))
    # the reduction from 17 × 17 to 8 × 8
    single = (*_line(17, (192, 1, 1)), *_line(8, (320, 3, 3)))
    double = (*_line(17, (192, 1, 1), (192, 1, 7), (192, 7, 1)), *_line(8, (192, 3, 3)))
    _module(chain, "mixed7a_", single, double, pool_to=8)
    # Fig. 7, with 1 × 3 and 3 × 1 side by side
    fork = (_Conv(384, 1, 3, 8), _Conv(384, 3, 1, 8))
    for letter in "bc":
        single, double = (*_line(8, (384, 1, 1)), fork), (*_line(8, (448, 1, 1), (384, 3, 3)), fork)
        _module(chain, f"mixed7{letter}_", _line(8, (320, 1, 1)), single, double, _line(8, (192, 1, 1)))
    chain.pool(1)
    chain.dense("fc", chain.channels, 1000)
    source = "computed from the architecture, doi:10.1109/CVPR.2016.308"
    return chain.profile("inception_v3", activation_bytes(3, 299), source)


def _line(size: int, *convs: tuple[int, int, int]) -> _Branch:
    return tuple((_Conv(*conv, size),) for conv in convs)


def _module(chain: Chain, name: str, *branches: _Branch, pool_to: int = 0) -> None:
    """Add the levels of a module whose branches are joined at its end, with a branch that only pools if `pool_to`."""
    pooled = activation_bytes(chain.channels, pool_to)
    for level in range(max(len(branch) for branch in branches)):
        macs, parameters, crossing, tensors = 0, 0, pooled, int(pool_to > 0)
        for branch in branches:
            for conv in branch[level] if level < len(branch) else ():
                inputs = sum(before.channels for before in branch[level - 1]) if level else chain.channels
                weights = conv_weights(inputs, conv.channels, (conv.height, conv.width))
                macs += weights * conv.size * conv.size
                parameters += weights + 2 * conv.channels
            crossing += sum(activation_bytes(conv.channels, conv.size) for conv in branch[: level + 1][-1])
            tensors += len(branch[: level + 1][-1])
        last = level + 1 == max(len(branch) for branch in branches)
        chain.add(f"{name}{level + 1}", macs, crossing, parameters, 1 if last else tensors)
    joined = sum(conv.channels for branch in branches for conv in branch[-1])
    chain.channels, chain.size = joined + (chain.channels if pool_to else 0), branches[0][-1][0].size
