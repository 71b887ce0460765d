"""Counting rules for weighted layers: MACs, float32 output bytes and parameters.

Activations, additions and pooling cost no MACs; batch normalisation is folded into its convolution but its two
trained parameters a channel are counted, as published counts do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dmcjia_opt.model.networks.profile import LayerProfile

BYTES = 4  # float32 activations


def activation_bytes(channels: int, size: int) -> int:
    """Return the bytes of a `channels` × `size` × `size` float32 tensor."""
    return channels * size * size * BYTES


def conv_weights(inputs: int, channels: int, kernel: tuple[int, int], *, groups: int = 1) -> int:
    """Return the weights of a convolution, which are also its MACs for each output pixel."""
    return kernel[0] * kernel[1] * (inputs // groups) * channels


@dataclass(slots=True)
class Chain:
    """Collects the weighted layers of a network in order.

    Parameters
    ----------
    channels, size
        Channels and side length (pixels) of the square input.
    """

    channels: int
    size: int
    names: list[str] = field(default_factory=list)
    macs: list[float] = field(default_factory=list)
    outputs: list[float] = field(default_factory=list)
    tensors: list[int] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)

    def add(self, name: str, macs: float, output_bytes: float, parameters: int, tensors: int = 1) -> None:
        """Add a layer whose costs are known; `tensors` is how many cross a real cut after it."""
        self.names.append(name)
        self.macs.append(macs)
        self.outputs.append(output_bytes)
        self.tensors.append(tensors)
        self.parameters.append(parameters)

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int,
        size: int,
        *,
        groups: int = 1,
        norm: bool = True,
        extra_macs: float = 0.0,
        carried: float = 0.0,
        tensors: int | None = None,
    ) -> None:
        """Add a convolution whose output is `channels` × `size` × `size`.

        Parameters
        ----------
        name
            The layer's name.
        channels, kernel, size
            Output channels, side of the square kernel, side of the output.
        groups
            Groups of channels convolved apart; the number of input channels for a depthwise convolution.
        norm
            Batch normalisation follows and there is no bias; else a bias.
        extra_macs
            Work of a parallel branch that ends here, MAC.
        carried
            Bytes of another tensor that is still needed after this layer.
        tensors
            How many tensors cross a real cut after it, if that is not what `carried` says.
        """
        weights = conv_weights(self.channels, channels, (kernel, kernel), groups=groups)
        output = activation_bytes(channels, size) + carried
        crossing = 1 + (carried > 0) if tensors is None else tensors
        self.add(name, weights * size * size + extra_macs, output, weights + (2 if norm else 1) * channels, crossing)
        self.channels, self.size = channels, size

    def pool(self, size: int) -> None:
        """Pool the last layer's output to side `size` before it is sent."""
        self.size = size
        self.outputs[-1] = activation_bytes(self.channels, size)

    def dense(self, name: str, inputs: int, outputs: int) -> None:
        """Add a fully connected layer with bias."""
        self.add(name, inputs * outputs, outputs * BYTES, inputs * outputs + outputs)

    def profile(self, name: str, input_bytes: float, source: str) -> LayerProfile:
        """Return the finished profile."""
        return LayerProfile(
            name=name,
            input_bytes=input_bytes,
            layer_names=tuple(self.names),
            macs=self.macs,  # type: ignore[arg-type]
            output_bytes=self.outputs,  # type: ignore[arg-type]
            parameters=sum(self.parameters),
            source=source,
            tensors=self.tensors,  # type: ignore[arg-type]
            weight_bytes=BYTES * np.array(self.parameters, dtype=np.float64),
        )
