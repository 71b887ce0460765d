"""Every allocator passes the conformance suite: a new row of the registry is tested here without another line."""

import re
from functools import partial

from dmcjia_opt.solving.registry import build_allocator, specs, why_not
from dmcjia_opt.testing.allocators import AllocatorConformance

#: Relative error of the mean delay that a method may have and still call its shares optimal.
ACCURACY = {"waterfilling": 1e-12, "alm": 1e-6, "cvxpy:CLARABEL": 1e-7, "cvxpy:SCS": 1e-3, "ipopt": 1e-8}

SPECS = {
    name: spec
    for spec in specs("allocator")
    if why_not(spec) is None
    for name in ([n for n in ACCURACY if n.startswith(f"{spec.name}:")] or [spec.name])
}


def class_name(name):
    return "Test_" + re.sub(r"\W", "_", name)


def suite(name, spec):
    """Return the suite of one method."""
    content = {"__module__": __name__, "method": partial(build_allocator, name), "exact": spec.exact}
    if name in ACCURACY:
        content["accuracy"] = ACCURACY[name]
    return type(class_name(name), (AllocatorConformance,), content)


globals().update({class_name(name): suite(name, spec) for name, spec in SPECS.items()})


def test_the_table_of_accuracies_names_methods_that_exist():
    assert set(ACCURACY) <= set(SPECS)
