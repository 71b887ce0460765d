"""Residual networks (He et al. 2016, doi:10.1109/CVPR.2016.90)."""

from __future__ import annotations

from dmcjia_opt.model.profile import LayerProfile
from dmcjia_opt.model.zoo.layers import BYTES, Chain

_STAGES_34 = ((64, 3, 56), (128, 4, 28), (256, 6, 14), (512, 3, 7))


def resnet34() -> LayerProfile:
    """Return ResNet34 on a 3 × 224 × 224 float32 input, as the chain of its 34 weighted layers.

    A projection shortcut is counted with the second convolution of its block, where its result is added.
    """
    chain = Chain(channels=3, size=224)
    chain.conv("conv1", 64, 7, 112)
    for stage, (channels, blocks, size) in enumerate(_STAGES_34, start=2):
        for block in range(1, blocks + 1):
            entering = chain.channels
            chain.conv(f"conv{stage}_{block}a", channels, 3, size)
            projection = entering * channels if entering != channels else 0
            chain.conv(f"conv{stage}_{block}b", channels, 3, size, extra_macs=projection * size * size)
            if projection:
                chain.parameters += projection + 2 * channels
    chain.dense("fc", chain.channels, 1000)
    return chain.profile("resnet34", 3 * 224 * 224 * BYTES, "computed from the architecture, doi:10.1109/CVPR.2016.90")
