"""A plan, its proof file, and a check of both that trusts neither; then a false claim, which is caught."""

import json
import sys
from pathlib import Path

from dmcjia_opt import check_proof, compile_problem, generate, load_plan, load_proof, prove, solve, verify

out = Path(*sys.argv[1:] or ["out"])
out.mkdir(parents=True, exist_ok=True)

scenario = generate("homogeneous", nodes=10)  # equal nodes: one price is not enough, cases are needed
plan = solve(scenario)
plan.save(out / "proof_plan.json")
prove(scenario, plan).save(out / "proof.json")

proof = load_proof(out / "proof.json")
bound = check_proof(compile_problem(scenario), proof)
print(f"{proof.leaves} cases prove that no plan is faster than {bound:.9f} s; the plan has {plan.objective:.9f} s")
checks = verify(scenario, load_plan(out / "proof_plan.json"), proof)
print(f"{sum(check.true for check in checks)} of {len(checks)} claims hold")

content = json.loads((out / "proof_plan.json").read_text(encoding="utf-8"))
content["objective_s"] *= 0.99
(out / "proof_false.json").write_text(json.dumps(content), encoding="utf-8")
for check in verify(scenario, load_plan(out / "proof_false.json"), proof):
    if not check.true:
        print(f"caught: {check.what} says {check.claimed}, it is {check.recomputed}")
