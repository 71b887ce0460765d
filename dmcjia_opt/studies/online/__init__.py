"""Links that change: traces of their speed, plans made again as they do, and what that gains and costs."""
