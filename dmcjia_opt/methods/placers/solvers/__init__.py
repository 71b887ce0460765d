"""General solvers on the mixed-integer model."""
