"""Scenario files by hand."""

CLOUD = "[cloud]\ncompute_gflops = 400.0\n"
OPTIONS = "[options]\nflops_per_mac = 1\n"


def node(name="camera", model="resnet34", compute=5.0, uplink=8.0, rate=1.0, more=""):
    return (
        f'[[nodes]]\nname = "{name}"\nmodel = "{model}"\ncompute_gflops = {compute}\n'
        f"uplink_mbps = {uplink}\narrival_rate = {rate}\n{more}"
    )


TWO = CLOUD + OPTIONS + node("a") + node("b", compute=7.0, uplink=20.0, rate=0.5)
