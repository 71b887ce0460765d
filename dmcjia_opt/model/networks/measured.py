"""Measured seconds of each layer on each device, read from and written to CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.csv_table import CsvTable
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import write_text
from dmcjia_opt.base.quantities import doubt
from dmcjia_opt.base.showing import brief
from dmcjia_opt.model.networks.profile import LayerProfile

#: In place of a layer's name: the time is that of the whole network.
WHOLE = "*"
_COLUMNS = ("device", "model", "graph_id", "layer", "seconds")
#: No layer takes longer, s; what does, is a mistake in units and overflows later.
MOST_SECONDS = 1e15
Layers = Mapping[str, float]


class Timed(NamedTuple):
    """What was timed.

    Parameters
    ----------
    device
        What scenarios call the device.
    network
        The network's name.
    graph_id
        Which of the networks of that name it is (see `LayerProfile.graph_id`); empty where nobody said.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.measured import Timed
    >>> Timed("pi", "resnet34")
    Timed(device='pi', network='resnet34', graph_id='')
    """

    device: str
    network: str
    graph_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredTimes:
    """Seconds of each layer by device and network.

    Parameters
    ----------
    seconds
        By what was timed, the seconds of each layer by its name.
    source
        The file they come from, for messages.

    Examples
    --------
    >>> from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed
    >>> MeasuredTimes({Timed("pi", "two"): {"first": 0.01, "second": 0.002}})
    MeasuredTimes(seconds=<1>, source='the measured times')
    """

    seconds: Mapping[Timed, Layers] = field(default_factory=dict)
    source: str = "the measured times"

    __repr__ = brief

    def __post_init__(self) -> None:
        """Copy the mappings; plain ones, because scenarios are sent to other processes."""
        object.__setattr__(self, "seconds", {key: dict(layers) for key, layers in self.seconds.items()})

    def key(self, device: str, profile: LayerProfile) -> Timed:
        """Return which of these times are those of `profile` on `device`.

        They are those of its graph, or else those of its name of which nobody said the graph.

        Raises
        ------
        InputError
            If there are none, or only those of another network of that name.
        """
        name, graph = profile.name, profile.graph_id
        for key in (Timed(device, name, graph), Timed(device, name)):
            if key in self.seconds:
                return key
        others = [key for key in self.seconds if key[:2] == (device, name)]
        if len(others) == 1 and not graph:
            return others[0]
        if others:
            ids = ", ".join(key.graph_id for key in others)
            what = f"they are those of another network of that name (graph_id {ids}; this one is {graph})"
            remedy = f"; measure this one too: dmcjia profile MODEL.onnx --measure {device} --out-times FILE"
            if not graph:
                what = f"they are those of {len(others)} networks of that name (graph_id {ids})"
                remedy = ", and the profile does not say which it is; write it anew from its file, with --out"
            raise InputError(f'{self.source}: no times of this "{name}" on device "{device}": {what}{remedy}')
        known = sorted({key.device for key in self.seconds if key.network == name})
        have = f"it has {', '.join(known)}" if known else "it has none of that model"
        have += "; name one of them, or measure it: dmcjia profile MODEL.onnx --measure DEVICE --out-times FILE"
        raise InputError(f'{self.source}: no times of model "{name}" on device "{device}"; {have}')

    def of(self, device: str, profile: LayerProfile) -> FloatArray:
        """Return the seconds of each layer of `profile` on `device`, (n_layers,).

        One time for the whole network is spread over its layers by their work.

        Raises
        ------
        InputError
            If the layers measured are not those of the profile.
        """
        layers = self.seconds[self.key(device, profile)]
        where = f'{self.source}: device "{device}", model "{profile.name}"'
        if len(set(profile.layer_names)) < profile.n_layers:
            raise InputError(f"{where}: the profile has several layers of one name; give each its own")
        if self.is_whole(device, profile):
            if not profile.total_macs:
                raise InputError(f'{where}: a network without work needs a time for each layer, not one for "{WHOLE}"')
            return layers[WHOLE] / profile.total_macs * profile.macs
        for name in profile.layer_names:
            if name not in layers:
                raise InputError(f'{where}: layer "{name}" has no time; measure with the cuts of the profile')
        for name in layers:
            if name not in profile.layer_names:
                raise InputError(f'{where}: the profile has no layer "{name}"; measure with the cuts of the profile')
        return np.array([layers[name] for name in profile.layer_names])

    def is_whole(self, device: str, profile: LayerProfile) -> bool:
        """Return whether what is known of `profile` on `device` is one time for the whole network."""
        return set(self.seconds[self.key(device, profile)]) == {WHOLE}

    def merged(self, other: MeasuredTimes) -> MeasuredTimes:
        """Return these times with those of `other`, in place of what they replace."""
        kept = {key: layers for key, layers in self.seconds.items() if key not in self.replaced(other)}
        return MeasuredTimes({**kept, **other.seconds}, self.source)

    def replaced(self, other: MeasuredTimes) -> set[Timed]:
        """Return which of these times those of `other` are newer of.

        They are of the same device and network; where nobody said of which network of a name the older ones are, those
        with the same layers.
        """
        newer = other.seconds
        unsaid = {key[:2]: set(layers) for key, layers in newer.items()}
        return {
            key
            for key, layers in self.seconds.items()
            if key in newer or (not key.graph_id and unsaid.get(key[:2]) == set(layers))
        }

    def only(self, keys: Iterable[Timed]) -> MeasuredTimes:
        """Return some of the times."""
        return MeasuredTimes({key: self.seconds[key] for key in keys}, self.source)

    def save(self, path: str | Path) -> None:
        """Write the times as CSV, with the columns device, model, graph_id, layer and seconds."""
        rows = ((key, layer, repr(float(t))) for key, layers in self.seconds.items() for layer, t in layers.items())
        write_text(path, _csv(rows))


def save_template(path: str | Path, device: str, profile: LayerProfile) -> None:
    """Write measured times without the seconds: a CSV file to fill in where the network runs.

    Raises
    ------
    InputError
        If there is such a file, which may be filled in.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmcjia_opt import LayerProfile
    >>> from dmcjia_opt.model.networks.measured import save_template
    >>> save_template("template.csv", "pi", LayerProfile("two", 1000, ("first", "second"), [5e6, 1e6], [200, 40]))
    >>> len(Path("template.csv").read_text().splitlines())
    3
    """
    if Path(path).exists():
        raise InputError(f"{path}: the file is there, perhaps filled in; choose another name, or remove it")
    key = Timed(device, profile.name, profile.graph_id)
    write_text(path, _csv((key, layer, "") for layer in profile.layer_names))


def _csv(rows: Iterable[tuple[Timed, str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((*key, layer, seconds) for key, layer, seconds in rows)
    return text.getvalue()


def load_times(path: str | Path) -> MeasuredTimes:
    """Read measured times from a CSV file.

    Its columns are device, model, layer and seconds, in any order, and graph_id where several networks have one name.

    Raises
    ------
    InputError
        If the file is missing or malformed; the message names the line.

    Examples
    --------
    >>> from dmcjia_opt import LayerProfile
    >>> from dmcjia_opt.model.networks.measured import MeasuredTimes, Timed, load_times
    >>> two = LayerProfile("two", 1000, ("first", "second"), [5e6, 1e6], [200, 40])
    >>> MeasuredTimes({Timed("pi", "two"): {"first": 0.01, "second": 0.002}}).save("times.csv")
    >>> load_times("times.csv").of("pi", two)
    array([0.01 , 0.002])
    """
    table = CsvTable(Path(path), "the measured times", _COLUMNS, optional=("graph_id",))
    found: dict[Timed, dict[str, float]] = {}
    for rows in table:
        device, network, layer = (table.texts(rows, column) for column in ("device", "model", "layer"))
        ids = table.texts(rows, "graph_id") if "graph_id" in table.columns else [""] * len(rows.lines)
        times = table.numbers(rows, "seconds", zero=True).tolist()
        for line, key, name, seconds in zip(rows.lines, map(Timed, device, network, ids), layer, times, strict=True):
            layers = found.setdefault(key, {})
            if name in layers:
                table.wrong(line, f'layer "{name}" of "{key.network}" on "{key.device}" is there twice; remove one')
            if seconds > MOST_SECONDS:
                table.wrong(line, f"seconds must be at most {MOST_SECONDS:g}; check its unit, got {seconds:g}")
            layers[name] = seconds
    if not found:
        raise InputError(f"{path}: the file has no times; add a line for every layer")
    every = [(f"{key[1]}, {layer}", seconds) for key, layers in found.items() for layer, seconds in layers.items()]
    doubt("seconds", np.array([seconds for _, seconds in every]), str(path), [layer for layer, _ in every])
    return MeasuredTimes(found, str(path))
