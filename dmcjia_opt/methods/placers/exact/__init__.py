"""Placers that end with a proof."""
