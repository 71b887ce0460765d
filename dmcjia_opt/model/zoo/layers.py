"""Counting rules for weighted layers: MACs, float32 output bytes and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

from dmcjia_opt.model.profile import LayerProfile

BYTES = 4  # float32 activations


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
    parameters: int = 0

    def conv(self, name: str, channels: int, kernel: int, size: int, *, extra_macs: float = 0.0) -> None:
        """Add a convolution with batch normalisation whose output is `channels` × `size` × `size`."""
        self.names.append(name)
        self.macs.append(kernel * kernel * self.channels * channels * size * size + extra_macs)
        self.outputs.append(channels * size * size * BYTES)
        self.parameters += kernel * kernel * self.channels * channels + 2 * channels
        self.channels, self.size = channels, size

    def dense(self, name: str, inputs: int, outputs: int) -> None:
        """Add a fully connected layer with bias."""
        self.names.append(name)
        self.macs.append(inputs * outputs)
        self.outputs.append(outputs * BYTES)
        self.parameters += inputs * outputs + outputs

    def profile(self, name: str, input_bytes: float, source: str) -> LayerProfile:
        """Return the finished profile."""
        return LayerProfile(
            name=name,
            input_bytes=input_bytes,
            layer_names=tuple(self.names),
            macs=self.macs,  # type: ignore[arg-type]
            output_bytes=self.outputs,  # type: ignore[arg-type]
            parameters=self.parameters,
            source=source,
        )
