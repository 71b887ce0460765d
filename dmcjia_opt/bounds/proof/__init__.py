"""Proofs of a lower bound that a stranger can check: how they are written, made and checked."""
