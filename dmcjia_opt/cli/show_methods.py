"""What `dmcjia methods` shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from dmcjia_opt.cli.show import console, facts, show_table, table_of
from dmcjia_opt.solving.contract import Spec
from dmcjia_opt.solving.registry import KINDS, options, variants, why_not


def show_methods(found: Sequence[Spec]) -> None:
    """Print methods, whether they can run here, and what may follow a colon in their names."""
    for kind in reversed(KINDS):
        table = table_of("name", "exact", "here", prose=("what it is",))
        for spec in (spec for spec in found if spec.kind == kind):
            why = why_not(spec)
            here = "[green]yes[/green]" if why is None else "[red]no[/red]"
            text = escape(spec.summary if why is None else f"{spec.summary} ({why})" if spec.summary else why)
            if spec.origin:
                text += f"\n[dim]plug-in: {escape(spec.origin)}[/dim]"
            if names := variants(spec):
                text += f"\n[dim]{escape(spec.name)}:… {escape(', '.join(names))}[/dim]"
            table.add_row(escape(spec.name), "yes" if spec.exact else "–", here, text)
        show_table(table, f"{kind}s")
    console().print("Options of a method: dmcjia methods NAME", highlight=False)


def show_method(spec: Spec) -> None:
    """Print all there is to know of one method: what it is and needs, its variants and its options."""
    out = console()
    why = why_not(spec)
    known = (
        (spec.kind, f"{spec.name}: {spec.summary}"),
        ("exact", "yes" if spec.exact else "no"),
        ("requires", ", ".join(spec.requires) or "nothing beyond NumPy" if not spec.origin else ""),
        ("plug-in", f"{spec.target}, from {spec.origin}" if spec.origin else ""),
        ("here", "yes" if why is None else f"no: {why}"),
        ("variants", ", ".join(f"{spec.name}:{name}" for name in variants(spec))),
    )
    out.print(facts((key, escape(text)) for key, text in known))
    if why is not None:
        return
    if not (found := options(spec)):
        out.print("It has no options.\n")
        return
    table = table_of("option", prose=("type", "default", "what it is"))
    for option in found:
        table.add_row(*(escape(text) for text in (option.name, option.type, option.default or "–", option.doc)))
    show_table(table)
    first = found[0]
    out.print(
        f"As in: --{spec.kind} {escape(spec.name)}:{first.name}={escape(first.default or '…')}\n", highlight=False
    )


def method_row(spec: Spec, *, with_options: bool) -> dict[str, object]:
    """Return what `dmcjia methods --json` says of a method."""
    why = why_not(spec)
    row: dict[str, object] = {
        "name": spec.name,
        "kind": spec.kind,
        "summary": spec.summary,
        "exact": spec.exact,
        "baseline": spec.baseline,
        "available": why is None,
        "why_not": why,
        "requires": list(spec.requires),
        "variants": list(variants(spec)),
        "plugin": spec.origin or None,
    }
    if with_options:
        keys = ("name", "type", "default", "doc")
        row["options"] = [{key: getattr(option, key) for key in keys} for option in options(spec)]
    return row
