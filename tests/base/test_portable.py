import subprocess
import sys

#: What Windows or macOS lacks; the standard library and NumPy must not miss it either.
_CODE = """
import importlib, os, pkgutil, signal, sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {"fcntl", "resource", "termios", "pwd", "grp", "syslog"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
for module, names in ((os, "sysconf sched_getaffinity sched_setaffinity getloadavg fork killpg setsid geteuid"),
                      (signal, "pthread_sigmask SIGALRM setitimer SIGKILL SIGUSR1 pthread_kill alarm")):
    for name in names.split():
        delattr(module, name)

import dmcjia_opt, dmcjia_opt.cli.main
for room in ("base", "model", "bounds", "solving"):
    package = importlib.import_module(f"dmcjia_opt.{room}")
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
for name in dmcjia_opt.__all__:
    getattr(dmcjia_opt, name)
plan = dmcjia_opt.solve(dmcjia_opt.generate("paper", nodes=5, seed=1), "exact", stop=dmcjia_opt.Stop(seconds=60.0))
print(plan.status.name, {"pandas", "matplotlib", "casadi", "pyarrow", "fcntl", "resource"} & set(sys.modules))
"""


def test_the_core_needs_nothing_that_other_systems_lack_and_no_extra():
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=1) == ["OPTIMAL", "set()\n"]
