"""Directives whose content is read from the code while building: commands and methods with their options."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args, get_origin, get_type_hints

from sphinx.util.docutils import SphinxDirective
from typer.models import ArgumentInfo, OptionInfo

from dmcjia_opt.cli.main import app as commands_app
from dmcjia_opt.solving.registry import METHODS, options, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from docutils.nodes import Node
    from sphinx.application import Sphinx

_KINDS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def commands_page() -> str:
    """Return every command with its arguments and options, as Markdown."""
    return "\n\n".join(_command(command.callback) for command in commands_app.registered_commands if command.callback)


def methods_table() -> str:
    """Return every placer and allocator of this package, as Markdown."""
    rows = ["| method | | exact | what it is |", "|---|---|---|---|"]
    for spec in METHODS.values():
        name = f"{spec.name}:{spec.variant.upper()}" if spec.variant else spec.name
        rows.append(f"| `{name}` | {spec.kind} | {'yes' if spec.exact else ''} | {spec.summary} |")
    return "\n".join(rows)


def options_table(names: Sequence[str]) -> str:
    """Return every option of the placers of these names, as Markdown."""
    rows = ["| placer | option | what it is | default |", "|---|---|---|---|"]
    for name in names:
        for option in options(spec_of("placer", name)):
            default = f"`{option.default}`" if option.default else "required"
            what = option.doc.replace("|", "\\|")
            rows.append(f"| `{name}` | `{option.name}` | {what} | {default} |")
    return "\n".join(rows)


def _command(function: Callable[..., None]) -> str:
    hints = get_type_hints(function, include_extras=True)
    rows = ["| argument or option | what it is | default |", "|---|---|---|"]
    for name, parameter in inspect.signature(function).parameters.items():
        assert get_origin(hints[name]) is Annotated
        kind, info = get_args(hints[name])
        rows.append(_row(name, kind, info, parameter.default))
    prose = _code(inspect.getdoc(function) or "")
    return f"## dmcjia {function.__name__}\n\n{prose}\n\n" + "\n".join(rows)


def _row(name: str, kind: object, info: OptionInfo | ArgumentInfo, default: object) -> str:
    said = [word for word in (info.default, *(info.param_decls or ())) if isinstance(word, str)]  # both hold names
    names = (said or [f"--{name.replace('_', '-')}"]) if isinstance(info, OptionInfo) else []
    takes = "" if kind is bool else info.metavar or _values(kind)
    shown = "`" + " ".join(filter(None, [", ".join(names), takes])).replace("|", "\\|") + "`"
    plain = default is inspect.Parameter.empty or default is None or default is False
    told = info.show_default if isinstance(info.show_default, str) else "" if plain else f"`{default}`"
    if default is inspect.Parameter.empty:
        told = "required"
    what = _code(info.help or "").replace("|", "\\|")
    return f"| {shown} | {what} | {told} |"


def _values(kind: object) -> str:
    """Return the choices of a literal, or the kind of a value, looking through lists and None."""
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if kind in _KINDS:
        return _KINDS[kind]
    return next(filter(None, map(_values, get_args(kind))), "")


def _code(text: str) -> str:
    return re.sub(r"\[bold\](.*?)\[/bold\]", r"`\1`", text)


class _FromCode(SphinxDirective):
    """Parses a text made by the code as if it stood in the page."""

    make: ClassVar[Callable[..., str]]

    def run(self) -> list[Node]:
        """Return the parsed text."""
        told = [self.arguments[0].split()] if self.arguments else []
        return self.parse_text_to_nodes(type(self).make(*told), allow_section_headings=True)


class Commands(_FromCode):
    """The commands of the command line."""

    make = staticmethod(commands_page)


class Methods(_FromCode):
    """The table of methods."""

    make = staticmethod(methods_table)


class Options(_FromCode):
    """The table of the options of the placers that are named after it."""

    required_arguments = 1
    final_argument_whitespace = True
    make = staticmethod(options_table)


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives known."""
    app.add_directive("commands", Commands)
    app.add_directive("methods", Methods)
    app.add_directive("options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
