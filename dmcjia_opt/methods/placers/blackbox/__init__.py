"""Optimisers that only ask what a plan costs."""
