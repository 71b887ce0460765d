"""What each key of the manifest of a deployment is set to, and what a run would make of it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from dmcjia_opt.cli.show_deploy import show_deployment
from dmcjia_opt.cli.show_run import show_run
from dmcjia_opt.studies.deploy import expecting
from dmcjia_opt.studies.deploy.jobs import jobs
from dmcjia_opt.studies.deploy.manifest import load_manifest
from dmcjia_opt.studies.deploy.run_here import _arrivals
from dmcjia_opt.studies.deploy.run_result import result_of
from tests.studies.deploy.deployed import imagined
from tests.studies.deploy.manifests import HALVES

_TASKS = 20


def manifest(folder: Path, document: Any) -> object:
    """Return what the processes of a run have to do, what is printed and written of it, and the times for later."""
    for file in HALVES:
        (folder / file).write_bytes(b"half")
    (folder / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    loaded = load_manifest(folder)
    work = jobs(loaded, folder, [_arrivals(node, _TASKS, 0, d) for d, node in enumerate(loaded.nodes)], paced=False)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(expecting, "N_PREDICTED", 1000)
        result = result_of(imagined(folder, tasks=_TASKS, times=True))
        show_deployment(loaded, Path("deployed"))
        show_run(result)
    result.times().save(folder / "times.csv")
    return work, printed.getvalue(), result.to_dict(), (folder / "times.csv").read_text(encoding="utf-8")


_VALUES: dict[str, dict[str, object]] = {
    "manifest.Manifest": {
        "scenario": "another",
        "scenario_sha256": "ab" * 32,
        "statistic": "p95",
        "delay": "md1",
        "networks": [],
        "halves": [],
        "nodes": [],
        "servers": [{"name": "another"}],
    },
    "manifest.NetworkEntry:networks.0": {
        "name": "another",
        "model": "another",
        "graph_id": "f" * 12,
        "layers": [{"name": name, "macs": 7.0} for name in ("m0", "m1", "another")],
        "inputs": [],
        "outputs": [],
    },
    "manifest.LayerEntry:networks.0.layers.1": {"name": "another", "macs": 7.0},
    "manifest.HalfEntry:halves.0": {
        "file": "another",
        "model": "another",
        "start": 1,
        "end": 2,
        "inputs": [],
        "outputs": [],
    },
    "tensors.TensorEntry:nodes.0.cuts.0.tensors.0": {"name": "another", "shape": [7], "dtype": "int8"},
    "manifest.NodeEntry:nodes.0": {
        "name": "another",
        "model": "another",
        "device": "another",
        "arrival_rate": 7.0,
        "arrivals_scv": 0.0,
        "planned_s": 7.0,
        "cuts": [],
        "stages": [],
    },
    "manifest.CutEntry:nodes.0.cuts.0": {"split": 0, "bytes": 7.0, "tensors": []},
    "manifest.StageEntry:nodes.0.stages.2": {
        "stage": "another",
        "slot": "edge",
        "service_s": 7.0,
        "planned_s": 7.0,
        "share": 0.7,
        "waits": False,
        "sharing": "fifo",
        "half": "another",
    },
    "manifest.StageEntry:nodes.0.stages.1": {"cut": 7},
    "manifest.ServerEntry:servers.0": {"name": "another", "device": "another"},
}
#: By key, what differs in one of two manifests.
MANIFEST_KEYS: dict[str, dict[str, object]] = {
    f"{model}.{key}": {".".join(filter(None, (place, key))): value}
    for (model, _, place), values in ((where.partition(":"), values) for where, values in _VALUES.items())
    for key, value in values.items()
}
