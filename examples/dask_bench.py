"""A benchmark on a Dask cluster, here two processes of this machine; give a scheduler's address for a real one."""

import logging
import sys
from pathlib import Path

from distributed import LocalCluster

from dmcjia_opt import generate
from dmcjia_opt.studies.bench.running.runner import bench


def main() -> None:
    """Save a fleet as Parquet, compare three methods on it, and print who came how close."""
    out = Path(*sys.argv[1:] or ["out"])
    out.mkdir(parents=True, exist_ok=True)
    scenario = out / "dask_fleet.toml"
    generate("fleet", nodes=500, seed=1).save(scenario, nodes_file="dask_fleet.parquet")
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=logging.ERROR, local_directory=out
    ) as cluster:
        rows = bench(
            "scaling",
            out / "dask_bench",
            methods=["exact", "lagrangian", "neurosurgeon+"],
            instances=[str(scenario)],
            seconds=20.0,
            dask=cluster.scheduler_address,
            resume=True,
        )
    for row in rows:
        print(f"{row.method:28s} {row.outcome}  gap {row.gap:.0e}  {row.wall_seconds:.3f} s  correct: {row.correct}")


if __name__ == "__main__":  # the workers import this file
    main()
