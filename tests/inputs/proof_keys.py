"""What each key of a proof does: a change of it, and what the proof is changed by on both sides before."""

from __future__ import annotations

from tests.inputs.looks_at_files import proof

PROOF_KEYS = {
    "document._ProofFile.format": (proof, {}, {"format": "another"}),
    "document._ProofFile.scenario_sha256": (proof, {}, {"scenario_sha256": "ab" * 32}),
    "document._ProofFile.bound_s": (proof, {}, {"bound_s": 7.0}),
    "document._ProofFile.prices_s": (proof, {}, {"prices_s": [0.06, 0.1]}),
    "document._ProofFile.tree": (proof, {}, {"tree": [{"price": 0}]}),
    "document._BranchFile.class": (proof, {}, {"tree.0.class": 7}),
    "document._BranchFile.split": (proof, {}, {"tree.0.split": 77}),
    "document._BranchFile.most": (proof, {}, {"tree.0.most": 7}),
    "document._RangeFile.up_to": (proof, {}, {"tree.2.up_to": 77}),
    "document._RangeFile.most": (proof, {}, {"tree.2.most": 7}),
    "document._RangeFile.menu": (proof, {}, {"tree.2.menu": 7}),
    "document._PriceFile.price": (proof, {}, {"tree.1.price": 1, "tree.3.price": 1, "tree.4.price": 1}),
    "document._PriceFile.charges_s": (proof, {}, {"tree.1.charges_s": [[1, 0.01]]}),
    "document._OverloadFile.overload": (proof, {}, {"tree.1": {"overload": True}}),
    "document._WeightsFile.overload": (proof, {"tree.1": {"overload": [1.0]}}, {"tree.1": {"overload": [1.0, 2.0]}}),
}
