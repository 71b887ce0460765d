"""What is proved without a solver: duals, bounds, certificates and proofs."""
