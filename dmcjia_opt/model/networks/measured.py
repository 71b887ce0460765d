"""Measured seconds of each layer on each device, read from and written to CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from dmcjia_opt.base.arrays import FloatArray
from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.fields import Name, NonNegative, number
from dmcjia_opt.base.files import explain, read_text, write_text
from dmcjia_opt.model.networks.profile import LayerProfile

#: In place of a layer's name: the time is that of the whole network.
WHOLE = "*"
_COLUMNS = ("device", "model", "layer", "seconds")
#: No layer takes longer, s; what does, is a mistake in units and overflows later.
_MOST_SECONDS = 1e15
Layers = Mapping[str, float]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    device: Name
    model: Name
    layer: Name
    seconds: Annotated[NonNegative, Field(le=_MOST_SECONDS)]

    @field_validator("seconds", mode="before")
    @classmethod
    def _written_as_a_number(cls, cell: str) -> float:
        try:
            return number(cell)
        except ValueError:
            raise PydanticCustomError("number", "must be a finite number") from None


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredTimes:
    """Seconds of each layer by device and network.

    Parameters
    ----------
    seconds
        By (device, network's name), the seconds of each layer by its name.
    source
        The file they come from, for messages.
    """

    seconds: Mapping[tuple[str, str], Layers] = field(default_factory=dict)
    source: str = "the measured times"

    def __post_init__(self) -> None:
        """Copy the mappings; plain ones, because scenarios are sent to other processes."""
        object.__setattr__(self, "seconds", {key: dict(layers) for key, layers in self.seconds.items()})

    def of(self, device: str, profile: LayerProfile) -> FloatArray:
        """Return the seconds of each layer of `profile` on `device`, (n_layers,).

        One time for the whole network is spread over its layers by their work.

        Raises
        ------
        InputError
            If the layers measured are not those of the profile.
        """
        layers = self.seconds.get((device, profile.name))
        if layers is None:
            known = sorted({d for d, network in self.seconds if network == profile.name})
            have = f"it has {', '.join(known)}" if known else "it has none of that model"
            raise InputError(f'{self.source}: no times of model "{profile.name}" on device "{device}"; {have}')
        where = f'{self.source}: device "{device}", model "{profile.name}"'
        if len(set(profile.layer_names)) < profile.n_layers:
            raise InputError(f"{where}: the profile has several layers of one name; give each its own")
        if self.is_whole(device, profile.name):
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

    def is_whole(self, device: str, network: str) -> bool:
        """Return whether what is known is one time for the whole network."""
        return set(self.seconds[device, network]) == {WHOLE}

    def merged(self, other: MeasuredTimes) -> MeasuredTimes:
        """Return these times with those of `other`, which replace whatever both have of a device and a network."""
        return MeasuredTimes({**self.seconds, **other.seconds}, self.source)

    def only(self, pairs: Iterable[tuple[str, str]]) -> MeasuredTimes:
        """Return the times of some pairs of device and network."""
        return MeasuredTimes({pair: self.seconds[pair] for pair in pairs}, self.source)

    def save(self, path: str | Path) -> None:
        """Write the times as CSV, with the columns device, model, layer and seconds."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for (device, network), layers in self.seconds.items():
            writer.writerows((device, network, layer, repr(float(seconds))) for layer, seconds in layers.items())
        write_text(path, text.getvalue())


def load_times(path: str | Path) -> MeasuredTimes:
    """Read measured times from a CSV file with the columns device, model, layer and seconds, in any order.

    Raises
    ------
    InputError
        If the file is missing or malformed; the message names the line.
    """
    text = read_text(path, "the measured times", "a CSV file")
    found: dict[tuple[str, str], dict[str, float]] = {}
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        columns = [name.strip() for name in reader.fieldnames or ()]
        if sorted(columns) != sorted(_COLUMNS):
            raise InputError(
                f"{path}: the columns must be {', '.join(_COLUMNS)}; the first line is {','.join(columns)}"
            )
        reader.fieldnames = columns
        for cells in reader:
            line = f"{path}: line {reader.line_num}"
            if "" in cells:
                raise InputError(f"{line} has more than {len(_COLUMNS)} cells")
            row = _Row.model_validate({key: cell or "" for key, cell in cells.items()})
            layers = found.setdefault((row.device, row.model), {})
            if row.layer in layers:
                raise InputError(f'{line}: layer "{row.layer}" of "{row.model}" on "{row.device}" is there twice')
            layers[row.layer] = row.seconds
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not valid CSV ({error})") from None
    except ValidationError as error:
        raise InputError(f"{path}: line {reader.line_num}: {explain(error)}") from None
    if not found:
        raise InputError(f"{path}: the file has no times; add a line for every layer")
    return MeasuredTimes(found, str(path))
