"""MobileNetV2 (Sandler et al. 2018, doi:10.1109/CVPR.2018.00474)."""

from __future__ import annotations

from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.layers import Chain, activation_bytes

# Table 2 of the source: expansion, output channels, blocks, side of the output
_STAGES = (
    (1, 16, 1, 112),
    (6, 24, 2, 56),
    (6, 32, 3, 28),
    (6, 64, 4, 14),
    (6, 96, 3, 14),
    (6, 160, 3, 7),
    (6, 320, 1, 7),
)


def mobilenet_v2() -> LayerProfile:
    """Return MobileNetV2 (width 1.0) on a 3 × 224 × 224 float32 input, as the chain of its 53 weighted layers.

    A block is an expansion (``a``), a depthwise (``b``) and a projecting convolution (``c``); the first has no
    expansion. Where a shortcut spans the block, a cut inside it sends the block's input along, so that every cut is
    a real one.
    """
    chain = Chain(channels=3, size=224)
    chain.conv("conv1", 32, 3, 112)
    for stage, (expansion, channels, blocks, size) in enumerate(_STAGES, start=2):
        for block in range(1, blocks + 1):
            name = f"block{stage}_{block}"
            entering, before = chain.channels, chain.size
            shortcut = (entering, before) == (channels, size)
            kept = activation_bytes(entering, before) if shortcut else 0
            wide = expansion * entering
            if expansion > 1:
                chain.conv(f"{name}a", wide, 1, before, carried=kept)
            chain.conv(f"{name}b", wide, 3, size, groups=wide, carried=kept)
            chain.conv(f"{name}c", channels, 1, size)
    chain.conv("conv9", 1280, 1, chain.size)
    chain.pool(1)
    chain.dense("fc", chain.channels, 1000)
    source = "computed from the architecture, doi:10.1109/CVPR.2018.00474"
    return chain.profile("mobilenet_v2", activation_bytes(3, 224), source)
