"""VGG networks (Simonyan and Zisserman 2014, arXiv:1409.1556)."""

from __future__ import annotations

from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.layers import Chain, activation_bytes

_STAGES_19 = ((64, 2, 224), (128, 2, 112), (256, 4, 56), (512, 4, 28), (512, 4, 14))


def vgg19() -> LayerProfile:
    """Return VGG19 (configuration E) on a 3 × 224 × 224 float32 input, as the chain of its 19 weighted layers.

    Table 1 agrees: 19 layers, 19.6 GMAC, 548 MiB of float32 parameters.
    """
    chain = Chain(channels=3, size=224)
    for stage, (channels, layers, size) in enumerate(_STAGES_19, start=1):
        for k in range(1, layers + 1):
            chain.conv(f"conv{stage}_{k}", channels, 3, size, norm=False)
        chain.pool(size // 2)
    chain.dense("fc6", chain.channels * chain.size**2, 4096)
    chain.dense("fc7", 4096, 4096)
    chain.dense("fc8", 4096, 1000)
    return chain.profile("vgg19", activation_bytes(3, 224), "computed from the architecture, arXiv:1409.1556")
