"""Fleets in parts: priced one by one, here, in processes or on a cluster; planned, written and checked."""
