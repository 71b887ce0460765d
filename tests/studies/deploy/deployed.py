"""A small fleet that uses every kind of stage, planned and deployed."""

from __future__ import annotations

import numpy as np
import onnx

from dmcjia_opt import solve
from dmcjia_opt.model.scenario.loading import load_graphs, load_scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.studies.deploy.deploying import deploy
from dmcjia_opt.studies.deploy.expecting import through
from dmcjia_opt.studies.deploy.manifest import load_manifest
from dmcjia_opt.studies.deploy.run_here import Moments, Records, node_called, server_called
from tests.studies.deploy.networks import chain

NODES = """
name = "three"
[cloud]
compute_gflops = 0.05
[[servers]]
name = "site"
compute_gflops = 0.016
[[links]]
name = "cell"
mbps = 1.5
[options]
delay = "tandem"
[[nodes]]
name = "gate"
model = "net.onnx"
compute_gflops = 0.015
uplink_mbps = 1.2
arrival_rate = 28.0
servers = ["cloud"]
splits = [2]
[[nodes]]
name = "yard"
model = "net.onnx"
compute_gflops = 0.009
link = "cell"
arrival_rate = 32.0
arrivals = "periodic"
servers = ["cloud"]
splits = [2]
rtt_ms = 4.0
[[nodes]]
name = "dock"
model = "net.onnx"
compute_gflops = 0.001
uplink_mbps = 2.0
arrival_rate = 28.0
tiers = ["site", "cloud"]
splits = [1]
"""
#: What the first fleet has not: a host, uplinks that queue, raw input of its own size, all of a network at a node.
OTHERS = """
name = "others"
[cloud]
compute_gflops = 0.1
[options]
uplink = "queue"
delay = "tandem"
[[nodes]]
name = "left"
model = "net.onnx"
compute_gflops = 0.05
uplink_mbps = 1.0
arrival_rate = 40.0
host = "board"
splits = [2]
[[nodes]]
name = "right"
model = "net.onnx"
compute_gflops = 0.05
uplink_mbps = 1.0
arrival_rate = 30.0
host = "board"
splits = [1]
[[nodes]]
name = "raw"
model = "net.onnx"
compute_gflops = 0.05
uplink_mbps = 1.0
arrival_rate = 30.0
input_bytes = 2000
splits = [0]
[[nodes]]
name = "own"
model = "net.onnx"
compute_gflops = 0.05
uplink_mbps = 0.5
arrival_rate = 40.0
splits = [4]
"""


def planned(folder, text=NODES):
    """Write a scenario and its plan into a folder; return both as read."""
    onnx.save(chain(256, 256, 256, 8), folder / "net.onnx")
    (folder / "s.toml").write_text(text)
    scenario = load_scenario(folder / "s.toml")
    solve(scenario).save(folder / "plan.json")
    return scenario, load_plan(folder / "plan.json")


def deployed(folder, text=NODES):
    """Plan and deploy a fleet into ``dep`` of a folder; return its manifest."""
    scenario, plan = planned(folder, text)
    deployment = deploy(scenario, plan, load_graphs(folder / "s.toml", scenario.nodes.networks))
    deployment.save(folder / "dep")
    return deployment.manifest


def alone(**changed):
    """Return the scenario of its first node alone, some keys changed."""
    text = NODES[: NODES.index('[[nodes]]\nname = "yard"')]
    text = text.replace('[[servers]]\nname = "site"\ncompute_gflops = 0.016\n', "")
    text = text.replace('[[links]]\nname = "cell"\nmbps = 1.5\n', "").replace("splits = [2]\n", "")
    return text + "".join(f"{key} = {value}\n" for key, value in changed.items())


def imagined(folder, *, tasks=300, paced=False, seed=0, times=False, progress=None):
    """Return what a run might record, without any process: every stage takes as long as planned."""
    manifest, found = load_manifest(folder), []
    for d, node in enumerate(manifest.nodes):
        arrivals = np.random.default_rng((seed, d)).exponential(1.0 / node.arrival_rate, tasks).cumsum()
        took = [np.full(tasks, stage.service_s) for stage in node.stages]
        at = through(arrivals, took, [stage.waits for stage in node.stages])
        late = 1.0 if paced else 1.25
        begin = at - late * np.array([stage.service_s for stage in node.stages])
        found.append(Moments(arrivals, begin, at, at + 1e-4, np.full(at.shape, 1e-3)))
    halves = dict.fromkeys([half.file for half in manifest.halves], 2e-3)
    called = [*(node_called(node.name) for node in manifest.nodes), *(server_called(s.name) for s in manifest.servers)]
    alone = dict.fromkeys(called, halves) if times else {}
    return Records(manifest, paced, seed, tuple(found), alone, "2026-01-01T00:00:00+00:00", 1.0, (None, None))
