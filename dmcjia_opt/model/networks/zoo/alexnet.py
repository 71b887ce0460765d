"""AlexNet (Krizhevsky et al. 2012, doi:10.1145/3065386) in its one-column form (arXiv:1404.5997)."""

from __future__ import annotations

from dmcjia_opt.model.networks.profile import LayerProfile
from dmcjia_opt.model.networks.zoo.layers import Chain, activation_bytes

# output channels, kernel, output side, side after the max pooling that follows (or the same where there is none)
_CONVOLUTIONS = ((64, 11, 55, 27), (192, 5, 27, 13), (384, 3, 13, 13), (256, 3, 13, 13), (256, 3, 13, 6))


def alexnet() -> LayerProfile:
    """Return AlexNet on a 3 × 224 × 224 float32 input, as the chain of its 8 weighted layers.

    The one-column form (arXiv:1404.5997) is the one in use; the original spreads two columns over two GPUs. Table 1
    agrees with it: 8 layers, 0.7 GMAC, 233 MiB of float32 parameters.
    """
    chain = Chain(channels=3, size=224)
    for k, (channels, kernel, size, pooled) in enumerate(_CONVOLUTIONS, start=1):
        chain.conv(f"conv{k}", channels, kernel, size, norm=False)
        if pooled != size:
            chain.pool(pooled)
    chain.dense("fc6", chain.channels * chain.size**2, 4096)
    chain.dense("fc7", 4096, 4096)
    chain.dense("fc8", 4096, 1000)
    return chain.profile("alexnet", activation_bytes(3, 224), "computed from the architecture, arXiv:1404.5997")
