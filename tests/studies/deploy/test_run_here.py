import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from dmcjia_opt import simulate
from dmcjia_opt.base.errors import BackendFailed, InputError
from dmcjia_opt.model.networks.measured import load_times
from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.solving.plan import load_plan
from dmcjia_opt.studies.deploy.manifest import load_manifest
from dmcjia_opt.studies.deploy.run_here import Moments, run
from dmcjia_opt.studies.deploy.run_page import run_page
from dmcjia_opt.studies.deploy.run_result import result_of
from tests.studies.deploy.deployed import OTHERS, alone, deployed
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    deployed(folder)
    return folder


@pytest.fixture(scope="module")
def paced(folder):
    """Return a paced run of three nodes, 200 tasks each."""
    return result_of(run(folder / "dep", tasks=200, paced=True, times=True))


def test_by_the_schedule_a_paced_run_is_as_predicted_and_as_planned(paced):
    # by the schedule, which this machine's load does not reach; the clock is looked at in benchmarks/deploy.py
    for figure in ("predicted_s", "planned_s"):
        off = [abs(node.delay.scheduled_s / getattr(node.delay, figure) - 1.0) for node in paced.nodes]
        assert max(off) < 0.1
        assert np.median(off) < 0.03
    assert [node.tasks for node in paced.nodes] == [180] * 3


def test_its_processes_keep_to_the_queues_that_the_simulation_has(paced, folder):
    for node in paced.nodes:
        assert node.delay.scheduled_s == pytest.approx(node.replayed_s, rel=1e-6)
    found = simulate(load_scenario(folder / "s.toml"), load_plan(folder / "plan.json"), tasks=50_000, service_cv=0.0)
    for node, model, simulated in zip(paced.nodes, found.model, found.batch_values.mean(axis=1), strict=True):
        assert node.delay.predicted_s == pytest.approx(model, rel=0.01)
        assert node.delay.predicted_s == pytest.approx(simulated, rel=0.02)


def test_no_stage_ends_before_its_time_and_every_task_is_there(paced):
    for moments in paced.records.nodes:
        assert len(moments.arrivals) == 200
        for table in (moments.begin, moments.at, moments.done):
            assert np.isfinite(table).all()
        assert (moments.done >= moments.at - 1e-6).all()
        assert (np.diff(moments.at, axis=1, prepend=moments.arrivals[:, None]) > 0).all()
        assert (moments.delays() >= -1e-6).all()


def test_its_stages_are_those_of_the_plan(paced, folder):
    manifest = load_manifest(folder / "dep")
    for node, seen in zip(manifest.nodes, paced.nodes, strict=True):
        assert [s.stage for s in seen.stages] == [s.stage for s in node.stages]
        assert [s.service_s for s in seen.stages] == pytest.approx([s.service_s for s in node.stages])
        assert [s.service_cv for s in seen.stages] == [0.0] * len(node.stages)
        total = sum(s.delay.measured_s for s in seen.stages)
        assert total == pytest.approx(seen.delay.measured_s)
    _, yard, _ = paced.nodes  # periodic, and no service varies: nobody waits, but for what the clock says
    assert yard.delay.scheduled_s == pytest.approx(sum(s.service_s for s in yard.stages), rel=1e-6)


def test_it_is_written_as_json_and_csv_and_as_a_page(paced, tmp_path):
    paced.save(tmp_path / "run.json")
    content = json.loads((tmp_path / "run.json").read_text())
    assert [node["name"] for node in content["nodes"]] == ["gate", "yard", "dock"]
    for node, seen in zip(content["nodes"], paced.nodes, strict=True):
        assert node["predicted_s"] == seen.delay.predicted_s
        assert node["measured_s"] == seen.delay.measured_s
        assert node["measured_p95_s"] == seen.delay.measured_p95_s
        assert list(node["service_cv"]) == [stage.stage for stage in seen.stages]
        assert node["tasks"] == 180
    assert content["machine"]
    assert (content["statistic"], content["delay"]) == ("mean", "tandem")
    paced.to_csv(tmp_path / "run.csv")
    with (tmp_path / "run.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == sum(len(node.stages) + 1 for node in paced.nodes)
    assert [float(row["measured_s"]) for row in rows if row["stage"] == "total"] == [
        node.delay.measured_s for node in paced.nodes
    ]
    page = run_page(paced)
    assert "mean delays, by tandem" in page
    for node in paced.nodes:
        assert node.name in page
        assert f'data-sort="{node.delay.measured_s}"' in page
    assert "http" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_what_it_took_is_the_time_of_layers_in_the_next_plan(paced, folder, tmp_path):
    paced.times().save(tmp_path / "times.csv")
    times = load_times(tmp_path / "times.csv")
    profile = load_scenario(folder / "s.toml").profiles["net.onnx"]
    devices = {key.device for key in times.seconds}
    assert devices == {"gate", "yard", "dock", "cloud", "site"}
    own = paced.records.nodes[0].work[:, 0].mean()
    assert times.of("gate", profile)[:2].sum() == pytest.approx(own)
    assert times.of("site", profile)[1] == pytest.approx(paced.records.nodes[2].work[:, 2].mean())
    assert (times.of("cloud", profile) > 0).all()
    text = (folder / "s.toml").read_text()
    for name in ("gate", "yard", "dock", "cloud", "site"):
        head = "[cloud]\n" if name == "cloud" else f'name = "{name}"\n'
        text = text.replace(head, f'{head}device = "{name}"\n', 1)
    (tmp_path / "net.onnx").write_bytes((folder / "net.onnx").read_bytes())
    (tmp_path / "next.toml").write_text(f'{text}\n[profiles]\ntimes_file = "times.csv"\n')
    following = load_scenario(tmp_path / "next.toml")
    assert following.seconds("gate", "net.onnx").tolist() == times.of("gate", profile).tolist()


@pytest.mark.slow
def test_without_pacing_the_times_of_this_machine_go_into_the_prediction(folder):
    result = result_of(run(folder / "dep", tasks=40, seed=1))
    for node, moments in zip(result.nodes, result.records.nodes, strict=True):
        first = node.stages[0]
        taken = (moments.done - moments.begin)[4:, 0]
        assert first.service_s == pytest.approx(taken.mean())
        assert first.service_cv == pytest.approx(taken.std() / taken.mean())
        assert (taken >= moments.work[4:, 0] - 1e-9).all()
        share = result.records.manifest.nodes[0].stages[-1].share
        assert node.delay.predicted_s >= sum(s.service_s for s in node.stages) * 0.999
        assert node.delay.scheduled_s == pytest.approx(node.delay.measured_s, rel=1e-6)
    cloud = result.records.nodes[0]
    assert ((cloud.done - cloud.begin)[:, -1] >= cloud.work[:, -1] / share - 1e-6).all()
    assert result.notes() == []


@pytest.mark.slow
def test_hosts_queues_at_uplinks_raw_inputs_and_results(tmp_path):
    manifest = deployed(tmp_path, OTHERS)
    slots = {node.name: [stage.slot for stage in node.stages] for node in manifest.nodes}
    assert slots == {
        "left": ["host", "uplink", "first server"],
        "right": ["host", "uplink", "first server"],
        "raw": ["uplink", "first server"],
        "own": ["edge", "uplink"],
    }
    found = result_of(run(tmp_path / "dep", tasks=40, paced=True))
    for node, moments in zip(found.nodes, found.records.nodes, strict=True):
        assert np.isfinite(moments.done).all()
        assert (moments.done >= moments.at - 1e-6).all()
        assert node.delay.scheduled_s == pytest.approx(node.replayed_s, rel=1e-6)
        uplink = [stage.slot for stage in manifest.nodes[0].stages].index("uplink") if node.name != "raw" else 0
        assert (np.diff(moments.at[:, uplink]) >= node.stages[uplink].service_s - 1e-9).all()


@pytest.mark.parametrize(
    ("arguments", "why"), [({"tasks": 9}, "tasks must lie between 10 and"), ({"seed": -1}, "seed must be at least 0")]
)
def test_numbers_out_of_range_are_refused(folder, arguments, why):
    with pytest.raises(InputError, match=why):
        run(folder / "dep", **arguments)


def test_what_is_pooled_is_refused(folder, tmp_path):
    content = (folder / "dep" / "manifest.json").read_text().replace('"reserved"', '"fifo"')
    (tmp_path / "halves").symlink_to(folder / "dep" / "halves")
    (tmp_path / "manifest.json").write_text(content)
    for half in (folder / "dep" / "halves").iterdir():
        assert (tmp_path / "halves" / half.name).exists()
    with pytest.raises(InputError, match="is outside the folder"):  # links lead out of it
        run(tmp_path)
    (tmp_path / "halves").unlink()
    (tmp_path / "halves").mkdir()
    for half in (folder / "dep" / "halves").iterdir():
        (tmp_path / "halves" / half.name).write_bytes(half.read_bytes())
    with pytest.raises(InputError, match='"device", which "gate" uses, is shared as fifo; only reserved shares'):
        run(tmp_path)


def test_planned_times_that_were_missed_are_counted(paced):
    records = paced.records
    slow = records.nodes[0].work.copy()
    slow[100:117, 0] = 1.0
    found = result_of(replace(records, nodes=(replace(records.nodes[0], work=slow), *records.nodes[1:])))
    before = paced.nodes[0].stages[0].overruns
    assert 17 <= found.nodes[0].stages[0].overruns <= before + 17
    assert re.search(r'most often at "device" of "gate": \d+ of 180 tasks, beyond 9\.0', found.notes()[0])


def test_what_cannot_keep_up_with_its_tasks_is_not_predicted(paced, tmp_path):
    records, first = paced.records, paced.records.nodes[0]
    slow = Moments(first.arrivals, first.at - 0.05, first.at, first.done, first.work)
    found = result_of(replace(records, paced=False, nodes=(slow, *records.nodes[1:])))
    delay = found.nodes[0].delay
    assert (delay.predicted_s, delay.predicted_p95_s) == (math.inf, math.inf)
    assert math.isnan(delay.error)
    assert found.off()[2] in ("yard", "dock")
    (note,) = found.notes()
    assert '"device" of "gate" is asked for 140 % of its time with what it takes here' in note
    assert found.to_dict()["nodes"][0]["predicted_s"] is None
    found.to_csv(tmp_path / "run.csv")
    assert "∞" in run_page(found)


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lone")
    deployed(folder, alone(splits=[2]))
    return folder / "dep"


def test_a_half_that_cannot_be_loaded_ends_the_run_with_one_sentence(lone, tmp_path):
    shutil.copytree(lone, tmp_path / "dep")
    (tmp_path / "dep" / "halves" / "net-3-4.onnx").write_bytes(b"no model")
    with pytest.raises(
        BackendFailed, match=r'^the process of server "cloud" failed: onnxruntime cannot load .*net-3-4'
    ):
        run(tmp_path / "dep")
    left = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    assert [line for line in left if "spawn_main" in line] == []


@pytest.fixture
def running(lone):
    """Return a long run as a shell starts it, once the processes of its node and of its server are connected."""
    command = [sys.executable, "-m", "dmcjia_opt", "run", str(lone), "--pace", "--tasks", "100000"]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    parent = psutil.Process(process.pid)

    def connected():
        assert process.poll() is None
        try:
            children = parent.children()
            return sum(len(child.net_connections("tcp")) > 0 for child in children) >= 2
        except psutil.Error:
            return False

    until(connected)
    yield process, parent.children(recursive=True)
    process.kill()
    process.communicate()


def none_left(children):
    _, left = psutil.wait_procs(children, timeout=PATIENCE)
    return not left


def test_a_process_that_dies_ends_the_run_with_one_sentence(running):
    process, children = running
    at_work = [child for child in children if child.net_connections("tcp")]
    at_work[0].send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert re.fullmatch(
        r'dmcjia: the process of (node|server) "\w+" was ended by SIGKILL in the middle of the run; run it again\n', err
    )
    assert none_left(children)


def test_an_interrupt_ends_every_process(running):
    process, children = running
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert none_left(children)


def test_who_is_killed_leaves_nobody_behind(running):
    process, children = running
    process.kill()
    assert none_left(children)
