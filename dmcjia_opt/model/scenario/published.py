"""Times of layers that others have measured and published, as profiles and measured times.

The numbers of ``published.csv`` are those of L. Lockhart, P. Harvey, P. Imai, P. Willis, B. Varghese, "Scission:
performance-driven and context-aware cloud-edge distribution of deep neural networks", IEEE/ACM UCC 2020,
doi:10.1109/UCC48980.2020.00044: https://github.com/qub-blesson/Scission, folder ``benchmark_data``, at b765b2b, rounded
to the microsecond. They are means of ten runs of Keras models in TensorFlow 2.1 on a Raspberry Pi 4 (``raspi4``), an
edge server (``2500``) and a cloud server with a GPU (``6700k-gpu``), block by block between the places where a single
tensor crosses; what crosses is without the 128 bytes of the file it was written to.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

import numpy as np

from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
from dmcjia_opt.model.networks.profile import LayerProfile

#: Device → its column.
DEVICES = {"raspi4": "raspi4_s", "2500": "2500_s", "6700k-gpu": "6700k_gpu_s"}
#: Height and width of the input, of three colours.
_PIXELS = {"vgg16": 224, "resnet50": 224, "inception_v3": 299, "mobilenetv2": 224}


@cache
def profiles() -> dict[str, LayerProfile]:
    """Return the networks by the name of the file they are saved to; their work is not known, only their times."""
    return {
        f"scission-{network}.json": LayerProfile(
            name=f"scission-{network}",
            input_bytes=4.0 * 3 * pixels**2,
            layer_names=tuple(f"layers {row['block']}" for row in _rows(network)),
            macs=np.zeros(len(_rows(network))),
            output_bytes=np.array([float(row["output_bytes"]) for row in _rows(network)]),
            source="Lockhart et al. 2020, doi:10.1109/UCC48980.2020.00044",
        )
        for network, pixels in _PIXELS.items()
    }


@cache
def times() -> MeasuredTimes:
    """Return the seconds of each block on each of `DEVICES`."""
    return MeasuredTimes(
        {
            Timed(device, f"scission-{network}"): {
                f"layers {row['block']}": float(row[column]) for row in _rows(network)
            }
            for network in _PIXELS
            for device, column in DEVICES.items()
        },
        "the published times",
    )


@cache
def _rows(network: str) -> list[dict[str, str]]:
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["network"] == network]
