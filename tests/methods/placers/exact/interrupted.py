"""A search that is interrupted from outside: says that it has begun, then what it ended with."""

from dmcjia_opt import build_placer, compile_problem, generate
from dmcjia_opt.methods.placers.exact import benders
from tests.methods.placers.searches import place

solve = benders.Master.solve


def watched(self, gap, seconds):
    print("begun", flush=True)
    return solve(self, gap, seconds)


benders.Master.solve = watched
problem = compile_problem(generate("near", nodes=100, seed=1, epsilon=1e-3, cloud_gflops=50.0))
found = place(build_placer("benders"), problem)
print(found.status, float(problem.objective(found.options, found.shares)), found.lower_bound)
