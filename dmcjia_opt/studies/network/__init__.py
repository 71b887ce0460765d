"""One network's delays along its cuts."""
