"""Residual networks (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

from __future__ import annotations

from collections.abc import Sequence

from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.layers import Chain, activation_bytes

_SOURCE = "computed from the architecture, doi:10.1109/CVPR.2016.90"
# channels, blocks, output side of each stage; a bottleneck's output has four times the channels
_STAGES = ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7))


def resnet34() -> LayerProfile:
    """Return ResNet34 on a 3 × 224 × 224 float32 input, as the chain of its 34 weighted layers.

    A projection shortcut is counted with the second convolution of its block, where its result is added.

    Notes
    -----
    This is the paper's chain (Fig. 4): a cut sends the output of its convolution as it leaves it, before pooling
    (conv1 3136 KiB, the last convolution 98 KiB), and inside a block the shortcut's tensor is not counted although a
    real cut there would send it too. Cuts after a ``b`` layer are real ones. Every other network of the zoo counts
    what a real cut sends. Table 1 agrees: 34 layers, 83 MiB; its 3.68 GMAC are 3.66 here and 3.657 in section 4.1.
    """
    chain = Chain(channels=3, size=224)
    chain.conv("conv1", 64, 7, 112)
    for stage, (channels, blocks, size) in enumerate(_STAGES, start=2):
        for block in range(1, blocks + 1):
            _residual(chain, f"conv{stage}_{block}", [(channels, 3, size)] * 2, carry=False)
    chain.dense("fc", chain.channels, 1000)
    return chain.profile("resnet34", activation_bytes(3, 224), _SOURCE)


def resnet50() -> LayerProfile:
    """Return ResNet50 on a 3 × 224 × 224 float32 input, as the chain of its 50 weighted layers.

    The stride of a stage is in the 3 × 3 convolution of its first block ("v1.5", 4.09 GMAC), as in common use; the
    original has it in the 1 × 1 before. A projection shortcut is counted with the last convolution of its block. A
    cut inside a block sends the block's input along, so that every cut is a real one.
    """
    chain = Chain(channels=3, size=224)
    chain.conv("conv1", 64, 7, 112)
    chain.pool(56)
    for stage, (channels, blocks, size) in enumerate(_STAGES, start=2):
        for block in range(1, blocks + 1):
            bottleneck = [(channels, 1, chain.size), (channels, 3, size), (4 * channels, 1, size)]
            _residual(chain, f"conv{stage}_{block}", bottleneck, carry=True)
    chain.pool(1)
    chain.dense("fc", chain.channels, 1000)
    return chain.profile("resnet50", activation_bytes(3, 224), _SOURCE)


def _residual(chain: Chain, name: str, convs: Sequence[tuple[int, int, int]], *, carry: bool) -> None:
    """Add a block of convolutions (channels, kernel, output side) with a shortcut, projected where channels change."""
    entering, kept = chain.channels, activation_bytes(chain.channels, chain.size) if carry else 0
    for letter, (channels, kernel, size) in zip("abc", convs[:-1], strict=False):
        chain.conv(f"{name}{letter}", channels, kernel, size, carried=kept, tensors=2)
    channels, kernel, size = convs[-1]
    projection = entering * channels if entering != channels else 0
    chain.conv(f"{name}{'abc'[len(convs) - 1]}", channels, kernel, size, extra_macs=projection * size * size)
    if projection:
        chain.parameters[-1] += projection + 2 * channels
