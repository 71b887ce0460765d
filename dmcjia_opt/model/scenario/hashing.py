"""The hash of what plans of a scenario depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from dmcjia_opt.model.scenario.nodes import LABELS, OPTIONAL, QUANTITIES
from dmcjia_opt.model.scenario.scenario import Scenario
from dmcjia_opt.model.scenario.servers import COSTS, Link, Server


def sha256(scenario: Scenario) -> str:
    """Return the hash of a scenario (see `Scenario.sha256`)."""
    options = scenario.options.model_dump()
    for key in ("statistic", "objective"):  # as it was when there was nothing but the mean
        if options[key] == "mean":
            del options[key]
    if scenario.options.delay != "tandem" and scenario.options.uplink == "delay":
        del options["uplink"]  # as it was when the other curves did not read it
    names = scenario.nodes.names
    head = {
        "cloud_gflops": None if scenario.cloud_gflops is None else float(scenario.cloud_gflops),
        "options": options,
        "names": names if isinstance(names, tuple) else names.digest,
        "models": [scenario.profiles[m].fingerprint() for m in scenario.nodes.networks],
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(scenario.nodes.network_index.astype("<i8").tobytes())
    for key in QUANTITIES:
        digest.update(getattr(scenario.nodes, key).astype("<f8").tobytes())
    for part in _further(scenario):
        digest.update(part)
    measured = scenario.measured()
    if measured:
        on = [scenario.nodes.devices, scenario.cloud_device, measured]
        digest.update(json.dumps(on).encode() + scenario.nodes.device_index.astype("<i8").tobytes())
        for device, network in measured:
            digest.update(scenario.seconds(device, network).astype("<f8").tobytes())
    return digest.hexdigest()


def _further(scenario: Scenario) -> Iterator[bytes]:
    """Yield what a scenario has beside one cloud and private links, for its hash."""
    nodes = scenario.nodes
    shared = [[_content(entry) for entry in entries] for entries in (scenario.servers, scenario.links)]
    cloud = [float(scenario.cloud_rtt_ms), scenario.cloud_link]
    if any(shared) or any(cloud):
        yield json.dumps([*shared, *cloud]).encode()
    pooled = {host.name: host.sharing for host in scenario.hosts if host.sharing != "reserved"}
    if pooled or scenario.cloud_sharing != "reserved":
        yield json.dumps([scenario.cloud_sharing, sorted(pooled.items())]).encode()
    if scenario.cloud_seconds_by_batch:
        yield json.dumps([*scenario.cloud_seconds_by_batch.items()]).encode()
    for key in LABELS:
        labels = getattr(nodes, key)
        if labels.values:
            yield json.dumps([key, labels.values]).encode() + labels.index.astype("<i8").tobytes()
    for key in filter(nodes.has, OPTIONAL):
        yield key.encode() + getattr(nodes, key).astype("<f8").tobytes()
    if nodes.has("memory_mb"):
        for network in nodes.networks:
            weights = scenario.profiles[network].weight_bytes
            yield b"" if weights is None else weights.astype("<f8").tobytes()


def _content(entry: Server | Link) -> dict[str, Any]:
    """Return what of a server or a link plans depend on."""
    unsaid = {"sharing": entry.sharing == "reserved", "seconds_by_batch": not getattr(entry, "seconds_by_batch", None)}
    return entry.model_dump(exclude={*COSTS, *(key for key, is_so in unsaid.items() if is_so)})
