"""Fig. 4: the work of each layer of ResNet34, and how long its output takes to upload at the paper's 1 MHz."""

from __future__ import annotations

import numpy as np

from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.studies.look.colours import COLOURS
from dmcjia_opt.studies.look.pictures import new_figure, tidy
from dmcjia_opt.studies.reproduce.item import Conclusion, Item, Statement
from dmcjia_opt.studies.reproduce.paper import FIG_4_SPREAD_MS, MHZ_BYTES
from dmcjia_opt.studies.reproduce.tables import percent

_SAME = 0.05  # work within 5 % of the usual layer's counts as unchanged


def _conclude(seeds: int, results: list[None]) -> Conclusion:
    profile = zoo_profile("resnet34")
    first, last = profile.layer_names[0], profile.layer_names[-2]  # of the convolutions
    layer = np.arange(1, profile.n_layers + 1)
    kib = profile.output_bytes / 1024
    delay = 1e3 * profile.output_bytes / MHZ_BYTES
    mmac = profile.macs / 1e6
    spread = float(delay[0] - delay[-2])
    usual = float(np.median(mmac))
    same = int((np.abs(mmac - usual) <= _SAME * usual).sum())
    figure = new_figure(6.4, 5.0)
    work, upload = figure.subplots(2, 1, sharex=True)
    work.bar(layer, mmac, color=COLOURS["blue"], width=0.7)
    tidy(work, "Work of each layer", "", "work, 10⁶ MAC")
    upload.bar(layer, delay, color=COLOURS["orange"], width=0.7)
    tidy(upload, "Upload of its output at 1 MiB/s, float32", "layer of ResNet34", "upload delay, ms")
    upload.set_xticks([1, *range(5, 35, 5), 34])
    upload.set_xlim(0.2, 34.8)
    raw = 1e3 * profile.input_bytes / MHZ_BYTES
    upload.axhline(raw, color=COLOURS["black"], linewidth=1.0, linestyle="--")
    upload.annotate(
        f"raw input, {raw:.0f} ms", (34.6, raw), xytext=(0, 4), textcoords="offset points", ha="right", fontsize=8
    )
    statements = (
        Statement(
            "the work of each layer remains basically unchanged",
            same > profile.n_layers / 2,
            f"{same} of {profile.n_layers} layers are within {percent(_SAME)} of {usual:.1f} million MAC; each later "
            f"stage's first layer has half, the classifier {mmac[-1]:.2f}",
        ),
        Statement(
            "the output of the layers only ever falls",
            bool((np.diff(kib) <= 0).all()),
            f"from {kib[0]:.0f} KiB to {kib[-1]:.1f} KiB without a rise",
        ),
        Statement(
            f"upload delays differ by up to {FIG_4_SPREAD_MS:.0f} ms (within 1 %)",
            abs(spread - FIG_4_SPREAD_MS) <= 0.01 * FIG_4_SPREAD_MS,
            f"{spread:.0f} ms between {first} and {last}",
        ),
    )
    table = {
        "layer": layer.tolist(),
        "name": profile.layer_names,
        "macs": profile.macs.tolist(),
        "output_bytes": profile.output_bytes.tolist(),
        "upload_ms_at_1_mib_per_s": delay.tolist(),
    }
    more, behind = percent(spread / FIG_4_SPREAD_MS - 1), np.argmax(profile.output_bytes < profile.input_bytes)
    text = f"""![Work and upload delay of each layer of ResNet34](fig4.png)

At 1 MHz read as 1 MiB/s the outputs of the convolutions span {kib[0]:.0f} KiB ({first}) to {kib[-2]:.0f} KiB ({last}),
a spread of **{spread:.0f} ms** beside the paper's {FIG_4_SPREAD_MS:.0f} ms, {more} more. With the classifier's
{kib[-1]:.1f} KiB it is {delay[0] - delay[-1]:.0f} ms.

- **Units.** Table 5 speaks of Mbps, the text of MHz. Only float32 activations at 1 MiB/s come near the paper's number:
  at 1 Mbit/s the spread is {spread * MHZ_BYTES * 8e-9:.1f} s, and with one byte an activation {spread / 4:.0f} ms.
- The raw input (float32, {raw * MHZ_BYTES / 1024e3:.0f} KiB, {raw:.0f} ms) is smaller than the output of each \
of the first {behind}
  layers, so a split among those is never better than sending the input, if the cloud can take the work.
"""
    return Conclusion({"fig4": table}, text, statements, figure)


FIG4: Item[None] = Item("fig4", "Fig. 4: work and upload delay of each layer of ResNet34", _conclude, random=False)
