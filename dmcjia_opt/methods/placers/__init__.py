"""Placers: split points for every node, given any allocator, one method a file."""
