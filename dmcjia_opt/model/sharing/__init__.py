"""How a resource is shared: in reserved shares, or by all as they come, one file for each kind of that."""
