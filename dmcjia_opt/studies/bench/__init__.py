"""Comparisons of methods that can be repeated: suites, a runner with isolated children, statistics."""
