"""An allocator and a placer for dmcjia_opt."""
