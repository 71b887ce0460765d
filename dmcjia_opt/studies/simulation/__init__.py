"""Discrete-event simulation of a plan: the stages of each node, device, links and servers, task by task."""
