"""A search that is interrupted from outside: says that it has begun, then what it ended with."""

import numpy as np

from dmcjia_opt import Stop, build_allocator, build_placer, compile_problem, generate
from dmcjia_opt.methods.placers.exact import benders

solve = benders.Master.solve


def watched(self, gap, seconds):
    print("begun", flush=True)
    return solve(self, gap, seconds)


benders.Master.solve = watched
problem = compile_problem(generate("near", nodes=100, seed=1, epsilon=1e-3, cloud_gflops=50.0))
found = build_placer("benders").place(
    problem, build_allocator("waterfilling"), stop=Stop(), rng=np.random.default_rng(0)
)
print(found.status, float(problem.objective(found.splits, found.shares)), found.lower_bound)
