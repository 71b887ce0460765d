"""`dmcjia`, and ``python -m dmcjia_opt``: the command line, with Ctrl-C heard from the first import on."""

import sys
from collections.abc import Callable


def heard(run: Callable[[], object], name: str) -> None:
    """Run a command line called `name`; Ctrl-C is one sentence on standard error, and exit code 130."""
    try:
        run()
    except KeyboardInterrupt:
        print(f"{name}: interrupted before there was an answer", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _commands() -> None:
    from dmcjia_opt.cli.main import main

    main()


def main() -> None:
    """Run the command line."""
    heard(_commands, "dmcjia")


if __name__ == "__main__":
    main()
