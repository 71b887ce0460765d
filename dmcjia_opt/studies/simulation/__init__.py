"""Discrete-event simulation of a plan: each node's edge queue, uplink and cloud queue, task by task."""
