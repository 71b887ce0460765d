"""What `dmcjia profile` shows: a table of the layers, what the graph says about the cuts, and the best one."""

from __future__ import annotations

from rich.markup import escape

from dmcjia_opt.cli.show import console, show_table, table_of
from dmcjia_opt.model.networks.cuts import single_tensor_cuts
from dmcjia_opt.model.networks.reading import Profiled
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.studies.look.words import seconds, tensors_at
from dmcjia_opt.studies.network.delays import best_split, conditions, delay_along_cuts

_KIB = 1024.0


def show_profile(profiled: Profiled) -> None:
    """Print a profile as a table of layers, and what its graph says about the cuts."""
    profile, out = profiled.profile, console()
    own = [cut.own_bytes for cut in profiled.cuts]
    hidden = sum(o < cut.upload_bytes for o, cut in zip(own, profiled.cuts, strict=True))
    title = f"{profile.name}: {profile.n_layers} layers, {_work(profile.total_macs)}, {profile.parameters:,} parameters"
    table = table_of(numbers=("split",))
    table.add_column("layer", no_wrap=True)
    for name in ("MMAC", "done %", *(["own KiB"] if hidden else []), "cut KiB", "tensors"):
        table.add_column(name, justify="right", no_wrap=True)
    named = profile.tensor_names is not None
    if named:
        table.add_column("sent")
    total = profile.total_macs or 1.0
    own_of_input, sent = [""] if hidden else [], [""] if named else []
    table.add_row("0", "(input)", "", "0", *own_of_input, _kib(profile.input_bytes), "", *sent)
    for k in range(profile.n_layers):
        table.add_row(
            str(k + 1),
            escape(profile.layer_names[k]),
            f"{profile.macs[k] / 1e6:,.4g}" if profile.macs[k] < 1e9 else f"{profile.macs[k] / 1e6:,.0f}",
            f"{100 * profile.work[k + 1] / total:.1f}",
            *([_kib(own[k])] if hidden else []),
            _kib(profile.output_bytes[k]),
            "?" if profile.tensors is None else str(profile.tensors[k]),
            *([escape(tensors_at(profile, k + 1))] if named else []),
        )
    show_table(table, title)
    for line in _remarks(profiled, hidden):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def _work(macs: float) -> str:
    return f"{macs / 1e9:.4g} GMAC" if macs >= 1e9 else f"{macs / 1e6:.4g} MMAC"


def _kib(size: float) -> str:
    return f"{size / _KIB:,.1f}" if size >= _KIB / 10 else f"{size / _KIB:.2g}"


def _remarks(profiled: Profiled, hidden: int) -> list[str]:
    profile, lines = profiled.profile, []
    if profile.tensors is not None:
        lines.append(f"Single-tensor cuts: {int((profile.tensors == 1).sum())} of {profile.n_layers}.")
    if profiled.model is not None:
        network = profiled.model.network
        lines.append(
            f"In the graph of {len(network.operations)} operators, all data passes through "
            f"{len(single_tensor_cuts(network))} single tensors (--cuts blocks)."
        )
    if hidden:
        lines.append(
            f"At {hidden} of {profile.n_layers} cuts more crosses than the layer's own output (own KiB): shortcuts, "
            "branches and what is joined to it, which a plain chain hides."
        )
    lines.append(f"Source: {profile.source or 'not said'}.")
    if profiled.model is None:  # of a graph that was just read they are warnings
        lines += [f"Caution: {caution}." for caution in profile.cautions]
    return lines


def best_cut(scenario: Scenario) -> str:
    """Return one sentence on the cut of least delay of a scenario's only node."""
    delays, where = delay_along_cuts(scenario), conditions(scenario)
    (profile,) = scenario.profiles.values()
    best = best_split(delays)
    if best is None:
        return f"No cut is stable on one node ({where}): lower --arrival-rate, or raise what computes."
    at = f"after {profile.layer_names[best - 1]}" if best else "before the first layer"
    return f"Least delay on one node ({where}): {seconds(float(delays.total[best]))}, split {best}, {at}."
