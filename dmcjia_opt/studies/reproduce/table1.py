"""Table 1: layers, work and parameters of the paper's four networks, and of two that edge users have."""

from __future__ import annotations

from dmcjia_opt.model.networks.zoo import zoo_profile
from dmcjia_opt.studies.reproduce.item import Conclusion, Item, Statement
from dmcjia_opt.studies.reproduce.paper import TABLE_1
from dmcjia_opt.studies.reproduce.tables import markdown, percent

_MORE = ("mobilenet_v2", "resnet50")
_FLOAT32 = 4
_NETWORK = "inception_v3"


def _conclude(seeds: int, results: list[None]) -> Conclusion:
    names = (*TABLE_1, *_MORE)
    profiles = [zoo_profile(name) for name in names]
    published = [TABLE_1.get(name) for name in names]
    mib = [profile.parameters * _FLOAT32 / 2**20 for profile in profiles]
    gmac = [profile.total_macs / 1e9 for profile in profiles]
    table = {
        "model": names,
        "layers": [profile.n_layers for profile in profiles],
        "layers_paper": [row and row.layers for row in published],
        "gmac": gmac,
        "gmac_paper": [row and row.gmac for row in published],
        "parameters": [profile.parameters for profile in profiles],
        "parameters_mib": mib,
        "parameters_mb_paper": [row and row.megabytes for row in published],
    }
    rows = [
        [
            row.title if row else name,
            profile.n_layers,
            row.layers if row else "–",
            f"{work:.2f}",
            row.gmac if row else "–",
            f"{size:.1f}",
            f"{row.megabytes:.0f}" if row else "–",
        ]
        for name, profile, row, work, size in zip(names, profiles, published, gmac, mib, strict=True)
    ]
    statements = []
    for name, row in TABLE_1.items():
        i = names.index(name)
        layers, work, size = profiles[i].n_layers, gmac[i], mib[i]
        differ = [
            f"{what} by {percent(ours / paper - 1)}"
            for what, ours, paper, rounding in (
                ("layers", layers, row.layers, 0.0),
                ("GMAC", work, row.gmac, row.gmac_digit / 2),
                ("parameters", size, row.megabytes, 0.5),
            )
            if abs(ours - paper) > rounding
        ]
        statements.append(
            Statement(
                f"{row.title}: {row.layers} layers, {row.gmac:g} GMAC, {row.megabytes:.0f} MB, within rounding",
                not differ,
                f"{layers}, {work:.3f} and {size:.1f} MiB"
                + (f"; they differ in {', '.join(differ)}" if differ else ""),
            )
        )
    own, vgg, deep = (profiles[names.index(name)] for name in ("resnet34", "vgg19", _NETWORK))
    theirs = TABLE_1[_NETWORK]
    head = ("network", "layers", "paper", "GMAC", "paper", "parameters, MiB", "paper, MB")
    text = f"""{markdown(head, rows)}

The networks are computed from their architectures; no weights are loaded.

- **Units.** The paper's "GFLOPS" of a network are giga multiply–accumulates (GMAC), and its "MB" are MiB of float32
  parameters: in 10⁶ bytes {TABLE_1["vgg19"].title} would have {vgg.parameters * _FLOAT32 / 1e6:.1f} MB.
- **ResNet34.** Table 1 has {TABLE_1["resnet34"].gmac} GMAC, section 4.1 has 3.657; the architecture has \
{own.total_macs / 1e9:.3f}. Section 4.1's
  21.8 M parameters are {own.parameters / 1e6:.1f} M here.
- **InceptionV3.** {deep.n_layers} levels here: the weighted layers on the longest path, the parallel ones of a module \
counted
  once a level. No count we know gives {theirs.layers}. Its parameters are \
{deep.parameters * _FLOAT32 / 2**20:.1f} MiB without the auxiliary
  classifier, which inference does not run; {theirs.megabytes:.0f} MB is what a widely copied table gives as the \
memory of the
  network's *features*, next to 91 MB of parameters.
- The last two rows are not in the paper.
"""
    return Conclusion({"table1": table}, text, tuple(statements))


TABLE1: Item[None] = Item("table1", "Table 1: resource usage of different models", _conclude, random=False)
