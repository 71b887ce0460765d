"""Reading a scenario from a TOML file and whatever it refers to."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from dmcjia_opt.base.errors import Doubt, InputError
from dmcjia_opt.base.fields import STRICT, Name, NonNegative, Positive
from dmcjia_opt.base.files import explain, is_beneath, read_text
from dmcjia_opt.base.showing import described
from dmcjia_opt.model.networks.measured import MeasuredTimes, load_times
from dmcjia_opt.model.networks.reading import Profiled, is_graph
from dmcjia_opt.model.resources import Sharing
from dmcjia_opt.model.scenario import parted
from dmcjia_opt.model.scenario.doubts import doubt_units, doubt_unused
from dmcjia_opt.model.scenario.node_files import read_nodes
from dmcjia_opt.model.scenario.nodes import Node, NodeTable, node_table
from dmcjia_opt.model.scenario.parquet_nodes import parts_in, read_parquet
from dmcjia_opt.model.scenario.parted import PartedScenario
from dmcjia_opt.model.scenario.references import Profiles, profiled_of
from dmcjia_opt.model.scenario.scenario import Options, Scenario
from dmcjia_opt.model.scenario.servers import Host, Link, SecondsByBatch, Server

_MOST_DOTS = 100  # the time that tomllib takes for a dotted key grows with the square of its parts
_BETWEEN_VALUES = re.compile(r"[^=,{}\[\]#\n]+")


class Cloud(BaseModel):
    """The ``[cloud]`` table: total compute in GFLOP/s; ``device`` names measured times in its place.

    ``rtt_ms``, ``link``, ``price_per_gflops``, ``step_gflops``, ``sharing`` and ``seconds_by_batch`` are as
    those of a server, which it is.
    """

    model_config = STRICT
    compute_gflops: Positive
    device: Name | None = None
    rtt_ms: NonNegative = 0.0
    link: Name | None = None
    price_per_gflops: Positive | None = None
    step_gflops: Positive | None = None
    sharing: Sharing = "reserved"
    seconds_by_batch: SecondsByBatch | None = None


class _File(BaseModel):
    model_config = STRICT
    name: Name | None = None
    cloud: Cloud | None = None
    servers: list[Server] = []
    links: list[Link] = []
    hosts: list[Host] = []
    options: Options = Options()
    profiles: Profiles = Profiles()
    nodes: list[Node] = []
    nodes_file: Name | None = None


def load_scenario(path: str | Path, *, outside: bool = False) -> Scenario:
    """Read a scenario from a TOML file and whatever it refers to.

    Parameters
    ----------
    path
        The file.
    outside
        Whether it may refer to files outside its folder. By default it may not, so that a scenario from elsewhere
        cannot make this machine read what lies around.

    Raises
    ------
    InputError
        If a file is missing or malformed, or the fleet too large to be read whole; the message names the file, the
        field and the remedy.

    Warns
    -----
    Doubt
        If there are measured times and nothing has a device, or one time stands for a whole network.

    Examples
    --------
    >>> from dmcjia_opt import generate, load_scenario
    >>> generate("paper", nodes=3, seed=1).save("paper3.toml")
    >>> load_scenario("paper3.toml")
    Scenario("paper-n3-s1", 3 nodes running resnet34, cloud 400 GFLOP/s, flops_per_mac=1.0)
    """
    return _whole(load_parts(path, outside=outside), str(path))


def load_parts(path: str | Path, *, outside: bool = False, most: int | None = None) -> Scenario | PartedScenario:
    """Read a scenario, or only what its parts say of themselves where they have more than `most` nodes.

    That is `parted.MOST_WHOLE` by default; other parameters, errors and warnings are those of `load_scenario`.

    Examples
    --------
    >>> from dmcjia_opt.model.scenario.loading import load_parts
    >>> from dmcjia_opt.testing.small_parts import small_parts
    >>> small_parts("folder")
    PartedScenario(300 nodes in 3 parts)
    >>> load_parts("folder/fleet.toml", most=100)
    PartedScenario(300 nodes in 3 parts)
    >>> load_parts("folder/fleet.toml")
    Scenario("fleet-n300-s0", 300 nodes running resnet34, cloud 6000 GFLOP/s, flops_per_mac=1.0)
    """
    path = _path(path)
    return _built(Around(_parsed(path), path.parent, outside, str(path), path.stem), most)


def scenario_of(given: Scenario | str | Path) -> Scenario:
    """Return a scenario, or that of a file.

    Raises
    ------
    InputError
        If it is neither, or the file is missing or malformed.
    """
    return given if isinstance(given, Scenario) else load_scenario(given)


def from_dict(content: Mapping[str, Any], folder: str | Path = ".", *, outside: bool = False) -> Scenario:
    """Return the scenario that a parsed TOML file holds (see `Scenario.from_dict`)."""
    where = "the scenario"
    if not isinstance(content, Mapping):
        raise InputError(f"from_dict needs what a scenario file holds as a dict, got {described(content)}")
    return _whole(_built(Around(_validated(dict(content), where), _path(folder), outside, where, "")), where)


def _path(given: str | Path) -> Path:
    if not isinstance(given, str | Path):
        what = described(given)
        remedy = "; Scenario.from_dict reads one" if isinstance(given, Mapping) else ""
        remedy = "; Scenario.from_frame reads its nodes" if hasattr(given, "columns") else remedy
        raise InputError(f"a scenario is needed, or the path of its file, got {what}{remedy}")
    return Path(given)


def _whole(loaded: Scenario | PartedScenario, where: str) -> Scenario:
    if isinstance(loaded, PartedScenario):
        raise InputError(
            f"{where}: a fleet of {loaded.n_nodes:,} nodes goes in parts, which dmcjia solve, verify, simulate and "
            "report do alone; name one of its parts as nodes_file for anything else"
        )
    return loaded


def _built(around: Around, most: int | None = None) -> Scenario | PartedScenario:
    """Return the scenario of a file's content, or its parts where they have more than `most` nodes."""
    parsed = around.parsed
    try:
        folder = None if parsed.nodes_file is None else around.beside("nodes_file", parsed.nodes_file)
        if folder is None:
            nodes = node_table(parsed.nodes)
        elif not folder.is_dir():
            nodes = read_nodes(folder)
        else:
            found = parts_in(folder)
            if sum(part.n_nodes for part in found) > (parted.MOST_WHOLE if most is None else most):
                return PartedScenario(around, found)
            nodes = read_parquet(found)
        loaded = around(nodes)
    except InputError as error:
        raise InputError(f"{around.where}: {error}") from None
    doubt_units(loaded, around.where)
    doubt_unused(loaded, around.where)
    return loaded


@dataclass(frozen=True, eq=False)
class Around:
    """What a scenario file says around its nodes; makes a scenario of some of them.

    Parameters
    ----------
    parsed, folder, outside
        The content of the file, the folder of what it refers to, and whether that may be outside.
    where, name
        What sentences about it begin with, and what it is called if it does not say.
    """

    parsed: _File
    folder: Path
    outside: bool
    where: str
    name: str

    @property
    def beside(self) -> Callable[[str, str], Path]:
        """What gives the path of a field's reference, or refuses it."""
        return _beside(self.folder, outside=self.outside)

    def __call__(self, nodes: NodeTable) -> Scenario:
        """Return the scenario of these nodes."""
        parsed, beside = self.parsed, self.beside
        measured = [
            *nodes.devices,
            *(entry.device for entry in [parsed.cloud, *parsed.servers] if entry and entry.device),
        ]
        if measured and parsed.profiles.times_file is None:
            raise InputError(
                f'device "{measured[0]}" needs its measured times; name their file in [profiles] times_file; '
                "dmcjia profile MODEL.onnx --measure DEVICE makes one"
            )
        times_file = parsed.profiles.times_file
        times = MeasuredTimes() if times_file is None else load_times(beside("times_file", times_file))
        if times_file is not None and not measured:
            warnings.warn(
                f'{self.where}: "{times_file}" has no effect: neither a node nor a server has a device; add device',
                Doubt,
                5,
            )
        cloud = parsed.cloud
        loaded = Scenario(
            cloud_gflops=None if cloud is None else cloud.compute_gflops,
            nodes=nodes,
            options=parsed.options,
            profiles={of: read.profile for of, read in profiled_of(nodes.networks, beside, parsed.profiles).items()},
            name=parsed.name or self.name,
            times=times,
            cloud_device=(cloud and cloud.device) or "",
            cloud_rtt_ms=0.0 if cloud is None else cloud.rtt_ms,
            cloud_link=(cloud and cloud.link) or "",
            cloud_price_per_gflops=None if cloud is None else cloud.price_per_gflops,
            cloud_step_gflops=None if cloud is None else cloud.step_gflops,
            servers=tuple(parsed.servers),
            links=tuple(parsed.links),
            hosts=tuple(parsed.hosts),
            cloud_sharing="reserved" if cloud is None else cloud.sharing,
            cloud_seconds_by_batch=(cloud and cloud.seconds_by_batch) or {},
        )
        for device, network in loaded.measured():
            profile = loaded.profiles[network]
            if times.is_whole(device, profile):
                warnings.warn(
                    f'{times_file}: the one time of "{profile.name}" on "{device}" is spread over its layers by their '
                    "work; measure each layer to plan with what they take",
                    Doubt,
                    5,
                )
        return loaded


def load_graphs(
    path: str | Path, networks: Sequence[str], *, outside: bool = False
) -> dict[str, tuple[Profiled, Path]]:
    """Return the graphs of a scenario's .onnx files, cut as it says, by what nodes call them, and where they are.

    Parameters
    ----------
    path, outside
        See `load_scenario`.
    networks
        What nodes run; those that are no .onnx files are left out.

    Raises
    ------
    InputError
        If a file is missing or malformed.

    Examples
    --------
    >>> from dmcjia_opt.model.scenario.loading import load_graphs
    >>> from dmcjia_opt.testing.networks import small_fleet
    >>> list(load_graphs(small_fleet("fleet.toml"), ["small.onnx"]))
    ['small.onnx']
    """
    path = Path(path)
    how, beside = _parsed(path).profiles, _beside(path.parent, outside=outside)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Doubt)  # whoever loaded the scenario was told
        found = profiled_of(networks, beside, how)
    return {of: (read, beside("model", of)) for of, read in found.items() if is_graph(of)}


def _parsed(path: Path) -> _File:
    """Return the content of a scenario file."""
    text = read_text(path, "the scenario", "TOML")
    if any(piece.group().count(".") > _MOST_DOTS for piece in _BETWEEN_VALUES.finditer(text)):
        raise InputError(f"{path}: not a scenario: a key has more than {_MOST_DOTS} parts")
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of more digits than Python reads
        named = "" if path.suffix.lower() == ".toml" else "; a scenario is a .toml file"
        raise InputError(f"{path}: not valid TOML: {error}{named}") from None
    except RecursionError:
        raise InputError(f"{path}: not a scenario: its values are nested too deeply") from None
    return _validated(raw, str(path))


def _validated(raw: dict[str, Any], where: str) -> _File:
    try:
        parsed = _File.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{where}: {explain(error, _File)}") from None
    if ("nodes" in parsed.model_fields_set) == (parsed.nodes_file is not None):
        raise InputError(f"{where}: give the nodes either inline as [[nodes]] or by nodes_file, one of the two")
    return parsed


def _beside(folder: Path, *, outside: bool) -> Callable[[str, str], Path]:
    """Return what gives the path of a field's reference, or refuses it."""

    def beside(field: str, reference: str) -> Path:
        if not (outside or is_beneath(folder, reference)):
            raise InputError(
                f'{field} = "{reference}" is outside the folder of the scenario; put the file there, or allow it with '
                "--outside"
            )
        return folder / reference

    return beside
