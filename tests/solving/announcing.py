"""Runs a module as a command that prints "at work" when its progress first moves, for who wants to interrupt it."""

import runpy
import sys

from dmcjia_opt.cli.progress import Live

show = Live.show


def announced(self, fraction, state=""):
    if "no feasible plan yet" not in state:
        Live.show = show
        print("at work", flush=True)  # noqa: T201
    show(self, fraction, state)


if __name__ == "__main__":
    Live.show = announced
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
