"""Shows signatures as the source has them, `FloatArray` and not what it stands for, and links names used short."""

from __future__ import annotations

import inspect
from enum import Enum
from typing import TYPE_CHECKING

from pydantic import BaseModel
from sphinx.util.nodes import make_refnode

from dmcjia_opt.base.entries import TableEntry

if TYPE_CHECKING:
    from docutils.nodes import Element, reference
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment


class _Text:
    """Something whose repr is a given text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _annotation(written: object) -> object:
    return _Text(written) if isinstance(written, str) else written


def _default(value: object) -> object:
    if isinstance(value, Enum):
        return _Text(f"{type(value).__name__}.{value.name}")
    return ... if repr(value).startswith("<") else value  # made anew for each object, or without a readable form


def signature_as_written(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Return the signature with its annotations unevaluated."""
    if what not in ("class", "function", "method") or not callable(obj) or signature is None:
        return None
    if getattr(obj, "_is_protocol", False):
        return "", None
    if isinstance(obj, type) and issubclass(obj, TableEntry):
        keys = obj.model_fields.items()
        return f"({', '.join(key if one.is_required() else f'{key}={one.default!r}' for key, one in keys)})", None
    if isinstance(obj, type) and issubclass(obj, BaseModel):
        return "(**keys)", None
    found = inspect.signature(obj)
    parameters = list(found.parameters.values())
    if what == "method" and parameters and parameters[0].name == "self":
        del parameters[0]
    empty = inspect.Signature.empty
    made = found.replace(
        parameters=[
            one.replace(
                annotation=_annotation(one.annotation),
                default=one.default if one.default is empty else _default(one.default),
            )
            for one in parameters
        ],
        return_annotation=empty,
    )
    result = found.return_annotation
    return str(made), result if isinstance(result, str) and result != "None" and what != "class" else None


def link_short_name(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Element) -> reference | None:
    """Return a link for a type named without its module, where only one documented thing ends in that name."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    objects = env.domains.python_domain.objects
    found = {(entry.docname, entry.node_id) for name, entry in objects.items() if name.endswith(f".{target}")}
    if len(found) != 1:
        return None
    ((page, anchor),) = found
    return make_refnode(app.builder, node["refdoc"], page, anchor, content, target)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the two."""
    app.connect("autodoc-process-signature", signature_as_written)
    app.connect("missing-reference", link_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
