"""Genetic algorithms: the paper's and others."""
