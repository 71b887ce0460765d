"""A node for tests of one network."""

from dmcjia_opt.studies.network.delays import one_node


def on_a_node(profile, **given):
    """Return the scenario of a node that runs `profile`, what is not `given` as `dmcjia profile` has it."""
    usual = {"compute_gflops": 5.0, "uplink_mbps": 8.0, "arrival_rate": 0.1, "cloud_gflops": 40.0}
    return one_node(profile, **usual | given)
