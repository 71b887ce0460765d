"""Who solves: allocators and placers."""
