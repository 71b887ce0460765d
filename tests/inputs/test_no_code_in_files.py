"""No file of a user's is ever read in a way that can run code: no pickle, no NumPy objects, no YAML, no eval."""

import ast
from pathlib import Path

import dmcjia_opt

PACKAGE = Path(dmcjia_opt.__file__).parent
UNSAFE_MODULES = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "jsonpickle"}
PICKLE_MODULES = {"pickle", "_pickle", "cPickle"}
UNSAFE_BUILTINS = {"eval", "exec", "compile", "__import__"}
#: Pickles that this package makes itself: over pipes between a benchmark, a run or a fleet in parts and its children,
#: and of a method and its copy. What goes over sockets is no pickle.
BETWEEN_OWN_PROCESSES = {
    "solving/parts/crews.py",
    "studies/bench/running/worker.py",
    "studies/bench/running/child.py",
    "studies/deploy/company.py",
    "studies/deploy/node_process.py",
    "studies/deploy/server_process.py",
    "studies/deploy/working.py",
    "testing/allocators.py",
    "testing/placers.py",
}


def _is_true(call, name, default):
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    value = given.get(name)
    return default if value is None else not (isinstance(value, ast.Constant) and value.value is False)


def unsafe_reads(source):
    """Return what in some Python can make code of the content of a file."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found |= {name for name in names if name.partition(".")[0] in UNSAFE_MODULES | PICKLE_MODULES}
            found |= {"pickle" for name in names if name == "multiprocessing.connection"}  # it sends pickles
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_BUILTINS:
            found.add(node.func.id)
        if isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            name = f"{owner}.{node.func.attr}"
            if name in ("np.load", "numpy.load", "np.lib.format.read_array") and _is_true(node, "allow_pickle", False):
                found.add(name)
            if name == "torch.load" and not _is_true(node, "weights_only", False):
                found.add(name)
            if node.func.attr in ("read_pickle", "read_hdf") or name in ("np.fromregex", "os.system", "os.popen"):
                found.add(name)
            if any(keyword.arg == "shell" for keyword in node.keywords):
                found.add(f"{name} with shell")
    return found


def test_the_check_finds_what_it_looks_for():
    for source, what in (
        ("import pickle\npickle.load(f)", "pickle"),
        ("from pickle import loads", "pickle"),
        ("from multiprocessing.connection import Connection", "pickle"),
        ("import joblib", "joblib"),
        ("import yaml\nyaml.load(f)", "yaml"),
        ("np.load(f, allow_pickle=True)", "np.load"),
        ("torch.load(f)", "torch.load"),
        ("torch.load(f, weights_only=False)", "torch.load"),
        ("pandas.read_pickle(f)", "pandas.read_pickle"),
        ("eval(text)", "eval"),
        ("exec(text)", "exec"),
        ("subprocess.run(text, shell=True)", "subprocess.run with shell"),
    ):
        assert what in unsafe_reads(source)
    assert not unsafe_reads(
        "np.load(f)\ntorch.load(f, weights_only=True)\nmodule.eval()\nnp.load(f, allow_pickle=False)"
    )


def test_no_module_reads_code_from_files():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if unsafe := unsafe_reads(path.read_text(encoding="utf-8")):
            found[path.relative_to(PACKAGE).as_posix()] = unsafe
    assert {name: {"pickle"} for name in BETWEEN_OWN_PROCESSES} == found
