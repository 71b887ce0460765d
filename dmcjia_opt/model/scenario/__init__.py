"""Scenarios: nodes, files and families."""
