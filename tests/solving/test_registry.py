import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from dataclasses import is_dataclass, replace
from pathlib import Path

import pytest

from dmcjia_opt.base.errors import BackendMissing, InputError
from dmcjia_opt.base.machine import installing
from dmcjia_opt.methods.allocators.cvxpy_ import CvxpyAllocator
from dmcjia_opt.methods.placers.genetic.pymoo_ import PymooPlacer
from dmcjia_opt.solving import registry
from dmcjia_opt.solving.contract import Allocator
from dmcjia_opt.solving.registry import (
    LIBRARIES,
    METHODS,
    build_allocator,
    build_placer,
    spec_of,
    specs,
    variants,
    why_not,
)
from dmcjia_opt.solving.search import Placer

every_spec = pytest.mark.parametrize("spec", METHODS.values(), ids=lambda spec: f"{spec.kind}-{spec.name}")


@pytest.fixture
def without_library(monkeypatch):
    """A machine where one method's library is missing."""
    spec = replace(METHODS["allocator", "cvxpy"], requires=("cvxpy", "no_such_library"))
    monkeypatch.setattr(registry, "METHODS", dict(METHODS) | {("allocator", "cvxpy"): spec})
    return spec


def class_of(spec):
    module, _, name = spec.target.partition(":")
    return getattr(importlib.import_module(module), name)


@every_spec
def test_a_row_leads_to_a_method_of_its_kind(spec):
    build, protocol = (build_placer, Placer) if spec.kind == "placer" else (build_allocator, Allocator)
    built = build(spec.name)
    assert isinstance(built, class_of(spec))
    assert isinstance(built, protocol)


@every_spec
def test_methods_are_frozen_dataclasses_with_typed_options(spec):
    method = class_of(spec)
    assert is_dataclass(method)
    assert method.__dataclass_params__.frozen
    assert "__dict__" not in dir(build_placer(spec.name) if spec.kind == "placer" else build_allocator(spec.name))
    if spec.variant:
        first = next(iter(inspect.signature(method).parameters))
        assert first == spec.variant


@every_spec
def test_summaries_fit_a_line_of_a_table(spec):
    assert 20 <= len(spec.summary) <= 100
    assert "\n" not in spec.summary
    assert not spec.summary.endswith(".")


def test_names_and_keys_agree():
    assert all(key == (spec.kind, spec.name) for key, spec in METHODS.items())
    assert {spec.name for spec in specs("placer")} >= {"dmcjia", "genetic", "pymoo", "exhaustive"}
    assert {spec.name for spec in specs("allocator")} >= {"waterfilling", "alm", "cvxpy", "ipopt"}


def test_nobody_can_change_the_table():
    with pytest.raises(TypeError):
        METHODS["placer", "mine"] = METHODS["placer", "genetic"]


def test_variants_reach_the_method():
    assert build_allocator("cvxpy:SCS") == CvxpyAllocator("SCS")
    assert build_placer("pymoo:DE") == PymooPlacer("DE")
    assert build_placer("pymoo") == build_placer("pymoo:") == PymooPlacer()


def test_variants_are_those_of_this_machine():
    assert {"CLARABEL", "SCS"} <= set(variants(spec_of("allocator", "cvxpy")))
    assert "DE" in variants(spec_of("placer", "pymoo"))
    assert variants(spec_of("allocator", "waterfilling")) == ()


@pytest.mark.parametrize("name", ["nope", "", "waterfilling", "Genetic", ":", "nope:GA"])
def test_unknown_names_are_answered_with_the_known_ones(name):
    with pytest.raises(InputError, match=r"one of .*dmcjia, genetic, memetic, pymoo, exhaustive"):
        build_placer(name)


def test_kinds_are_kept_apart():
    with pytest.raises(
        InputError, match=r'"genetic" \(this is the name of a placer\); choose one of waterfilling, alm'
    ):
        build_allocator("genetic")


def test_a_method_without_variants_refuses_one():
    with pytest.raises(InputError, match=r'"genetic" takes option=value after a colon, got "fast"; it has population'):
        build_placer("genetic:fast")
    with pytest.raises(InputError, match=r'placer "edge-only" takes nothing after a colon, got "fast"'):
        build_placer("edge-only:fast")


def test_a_missing_library_is_named_with_its_remedy(without_library):
    assert why_not(without_library) == "no_such_library not installed; pip install 'no_such_library'"
    assert variants(without_library) == ()
    with pytest.raises(BackendMissing, match=r'allocator "cvxpy" cannot run: no_such_library not installed; pip'):
        build_allocator("cvxpy:SCS")


def test_a_missing_extra_is_named_as_such(without_library):
    spec = replace(without_library, requires=("no_such_a", "no_such_b"), extra="cones")
    assert why_not(spec) == f"no_such_a and no_such_b not installed; {installing('cones')}"


def test_the_registry_imports_no_library_and_looks_for_none_by_importing():
    code = (
        "import sys; from dmcjia_opt.solving import registry; "
        "[registry.why_not(s) for s in registry.METHODS.values()]; registry.build_allocator('waterfilling'); "
        "found = {'pymoo', 'cvxpy', 'pyomo', 'casadi', 'highspy', 'scipy', 'pandas'} & set(sys.modules); "
        "sys.exit(str(found) if found else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_a_row_requires_its_extra_brings_and_mypy_does_not_look_into():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]

    def names(requirements):
        return {re.split(r"[^\w-]", requirement)[0] for requirement in requirements} - {"dmcjia-opt"}

    core = names(project["project"]["dependencies"])
    for spec in METHODS.values():
        assert set(spec.requires) <= core | names(extras.get(spec.extra, ())), spec.name
    studies = names(
        library for extra in ("fleet", "dask", "jax", "onnx", "torch", "bench", "report") for library in extras[extra]
    )
    typed = {"scipy", "pandas"}
    unseen = {module.removesuffix(".*") for module in project["tool"]["mypy"]["overrides"][0]["module"]}
    assert unseen == (set(LIBRARIES) | studies | {"dask"}) - typed - {"numpy"}
    of_work = {"all", "test", "check", "docs", "dev"}
    assert set(extras) - of_work - {"torch"} == set(extras["all"][0].partition("[")[2].rstrip("]").split(","))
