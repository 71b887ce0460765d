"""How long it takes to size a large fleet, and in how much memory.

    python benchmarks/purchase.py [--nodes 10000,100000,1000000] [--deadline-ms 1000] [--mean-ms 500]

The fleet is the family `fleet`, its one resource the cloud. With a deadline the size is the sum of what each node needs
at least; with a mean target one multiplier is sought.
"""

from __future__ import annotations

import argparse
import resource
import time

from dmcjia_opt import generate, size


def main() -> None:
    """Print a row for each fleet and question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="10000,100000,1000000")
    parser.add_argument("--deadline-ms", type=float, default=1000.0)
    parser.add_argument("--mean-ms", type=float, default=500.0)
    asked = parser.parse_args()
    print("| nodes | asked | GFLOP/s | gap | seconds | GB at most |\n|---|---|---|---|---|---|")
    for n in map(int, asked.nodes.split(",")):
        fleet = generate("fleet", nodes=n)
        for key in ("deadline_ms", "mean_ms"):
            value = getattr(asked, key)
            before = time.perf_counter()
            found = size(fleet, **{key: value})
            took = time.perf_counter() - before
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB, of the whole process so far
            print(f"| {n:,} | {key} {value:g} | {found.cost:.7g} | {found.gap:.1e} | {took:.1f} | {most:.2f} |")


if __name__ == "__main__":
    main()
