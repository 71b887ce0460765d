"""Sites that share more than a cloud: scenario files, small enough to be planned at once."""

from pathlib import Path

from dmcjia_opt.model.scenario.loading import load_scenario
from dmcjia_opt.model.scenario.scenario import Scenario

_SHARED = """
[cloud]
compute_gflops = 30.0
rtt_ms = 30.0
link = "backhaul"
[[servers]]
name = "edge-server"
compute_gflops = 12.0
rtt_ms = 2.0
[[links]]
name = "wifi"
mbps = 60.0
[[links]]
name = "backhaul"
mbps = 20.0
"""
_CAMERA = """
[[nodes]]
name = "camera-{d}"
model = "alexnet"
compute_gflops = {compute}
arrival_rate = {rate}
"""


def _cameras(more: str) -> str:
    return "".join(_CAMERA.format(d=d, compute=1.0 + 0.4 * d, rate=0.3 + 0.1 * d) + more for d in (1, 2, 3))


#: Three cameras on one access point, which use an edge server or the cloud behind a backhaul.
ACCESS_POINT = _SHARED + _cameras('link = "wifi"\n')
#: The same three, whose networks are cut twice: camera, edge server, cloud.
TIERS = _SHARED + _cameras('link = "wifi"\ntiers = ["edge-server", "cloud"]\n')
#: Two networks on one board, and a camera of its own with an uplink, far away, whose result comes back.
BOARD = (
    _SHARED.replace('link = "backhaul"\n', "").partition("[[links]]")[0]
    + "".join(
        _CAMERA.format(d=d, compute=3.0, rate=0.3 + 0.2 * d) + 'host = "board"\nuplink_mbps = 9.0\n' for d in (1, 2)
    )
    + _CAMERA.format(d=3, compute=2.0, rate=0.5)
    + "uplink_mbps = 8.0\nrtt_ms = 10.0\nresult_bytes = 1000.0\ndownlink_mbps = 10.0\nservers = ['cloud']\n"
)
#: Cameras whose pictures cross the same radio to the edge server, and on to the cloud.
TWICE = _SHARED.rpartition("[[links]]")[0].replace("backhaul", "wifi").replace("12.0", "4.0").replace(
    "mbps = 60.0", "mbps = 200.0"
) + _cameras('link = "wifi"\ntiers = ["edge-server", "cloud"]\n')
#: All of them, by name.
SITES = {"access point": ACCESS_POINT, "tiers": TIERS, "board": BOARD, "twice": TWICE}


def site(folder: Path, content: str, name: str = "site") -> Scenario:
    """Return the scenario of one of the texts above, whose file is `name`.toml in a folder."""
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{content}', encoding="utf-8")
    return load_scenario(path)
