"""`dmcjia`, and ``python -m dmcjia_opt``: the command line, with Ctrl-C heard from the first import on."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from dmcjia_opt.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("dmcjia: interrupted before there was an answer", file=sys.stderr)  # noqa: T201
        sys.exit(130)


if __name__ == "__main__":
    main()
