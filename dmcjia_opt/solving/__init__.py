"""How a scenario becomes a certified plan."""
