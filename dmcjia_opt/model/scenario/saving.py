"""Scenarios written to TOML, with the files beside them that they refer to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from dmcjia_opt.base.errors import InputError
from dmcjia_opt.base.files import is_beneath, write_text
from dmcjia_opt.base.limits import FILES
from dmcjia_opt.model.networks.zoo import ZOO, zoo_profile
from dmcjia_opt.model.scenario.node_files import write_nodes
from dmcjia_opt.model.scenario.nodes import ARRIVALS, LABELS, OPTIONAL, QUANTITIES, WHOLE, NodeTable
from dmcjia_opt.model.scenario.scenario import Scenario


def save(scenario: Scenario, path: Path, nodes_file: str | None = None) -> None:
    """Write a scenario (see `Scenario.save`)."""
    options = scenario.options.model_dump(exclude_defaults=True)
    options["flops_per_mac"] = scenario.options.flops_per_mac
    content: dict[str, Any] = {"name": scenario.name} if scenario.name else {}
    table = replace(scenario.nodes, networks=tuple(_saved_as(scenario, network) for network in scenario.nodes.networks))
    written = [reference for reference in table.networks if reference not in ZOO]
    for reference in [*written, *([] if nodes_file is None else [nodes_file])]:
        if not is_beneath(path.parent, reference):
            raise InputError(f'"{reference}" would be written outside the folder of {path}; choose another name')
    if nodes_file is not None:
        if not (path.parent / nodes_file).is_dir():
            write_nodes(path.parent / nodes_file, table)
        content["nodes_file"] = nodes_file
    if scenario.cloud_gflops is not None:
        cloud = {
            "device": scenario.cloud_device,
            "rtt_ms": float(scenario.cloud_rtt_ms),
            "link": scenario.cloud_link,
            "price_per_gflops": scenario.cloud_price_per_gflops,
            "step_gflops": scenario.cloud_step_gflops,
            "sharing": "" if scenario.cloud_sharing == "reserved" else scenario.cloud_sharing,
            "seconds_by_batch": dict(scenario.cloud_seconds_by_batch),
        }
        content["cloud"] = {"compute_gflops": float(scenario.cloud_gflops)} | {k: v for k, v in cloud.items() if v}
    content["options"] = options
    measured = [scenario.times.key(device, scenario.profiles[network]) for device, network in scenario.measured()]
    if measured:
        content["profiles"] = {"times_file": times_beside(path).name}
        scenario.times.only(measured).save(times_beside(path))
    for key in ("servers", "links", "hosts"):
        if entries := getattr(scenario, key):
            content[key] = [entry.model_dump(exclude_defaults=True) for entry in entries]
    if nodes_file is None:
        content["nodes"] = [row_of(table, d) for d in range(scenario.n_nodes)]
    for network, reference in zip(scenario.nodes.networks, table.networks, strict=True):
        if reference not in ZOO:
            scenario.profiles[network].save(path.parent / reference)
    text = tomli_w.dumps(content)
    most, remedy = FILES["the scenario"]
    if len(text) > most:
        raise InputError(f"{path}: {len(text):,} bytes could not be read again; the most is {most:,}: {remedy}")
    write_text(path, text)


def _saved_as(scenario: Scenario, network: str) -> str:
    """Return the reference of a network's profile once it is written; an ONNX file is never written over."""
    if Path(network).suffix == ".json":
        return network
    zoo = network in ZOO and scenario.profiles[network].fingerprint() == zoo_profile(network).fingerprint()
    return network if zoo else f"{network}.json"


def times_beside(path: Path) -> Path:
    """Return where the measured times of a scenario are written that is written to `path`."""
    return path.with_name(f"{path.stem}-times.csv")


def row_of(table: NodeTable, d: int) -> dict[str, Any]:
    """Return what a node says, by key; what it does not say is left out."""
    numbers = {key: float(getattr(table, key)[d]) for key in (*QUANTITIES, *filter(table.has, OPTIONAL))}
    row: dict[str, Any] = {"name": table.names[d], "model": table.network_of(d)}
    row |= {key: int(value) if key in WHOLE else value for key, value in numbers.items() if not np.isnan(value)}
    if row.get("arrivals") == ARRIVALS["periodic"]:
        row["arrivals"] = "periodic"
    labels = {key: getattr(table, key).at(d) for key in LABELS if getattr(table, key).values} | {
        "device": table.device_of(d)
    }
    return row | {key: value for key, value in labels.items() if value is not None}
