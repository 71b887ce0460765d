"""What is learnt from plans: benchmarks, simulations, reports, the paper's results."""
