"""Runs a command again and again, killed before the first thing it writes, the second, …: until it comes to its end.

``python -m tests.solving.killed FOLDER COMMAND …`` runs ``dmcjia COMMAND …`` in FOLDER/0, FOLDER/1, and so on.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from dmcjia_opt.cli.main import main
from dmcjia_opt.solving import solve  # noqa: F401 - once, before the forks
from dmcjia_opt.studies.bench import exports  # noqa: F401
from dmcjia_opt.studies.bench.page import overview  # noqa: F401
from dmcjia_opt.studies.plan import plan_page  # noqa: F401


def killed_before(step: int) -> None:
    """Kill this process before it opens for writing, or renames, the file of that number in the current folder."""
    steps = itertools.count()
    here = str(Path.cwd())

    def hook(event: str, told: tuple) -> None:
        writes = event == "os.rename" or (event == "open" and told[2] & (os.O_WRONLY | os.O_RDWR))
        if (
            writes
            and not isinstance(told[0], int)
            and os.path.abspath(str(told[0])).startswith(here)
            and next(steps) == step
        ):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


if __name__ == "__main__":
    folder, *sys.argv[1:] = sys.argv[1:]
    for step in itertools.count():
        (Path(folder) / str(step)).mkdir()
        if (child := os.fork()) == 0:
            os.chdir(Path(folder) / str(step))
            killed_before(step)
            main()
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
    sys.exit(os.waitstatus_to_exitcode(status))
