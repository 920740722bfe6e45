"""Sentences about a run config that is refused: which field, which value, and what to write instead."""

import difflib
import types
from typing import Any, Literal, Union, get_args, get_origin

import dagster as dg
from pydantic import ValidationError

from imgrelay_dagster.relay.errors import RelayError

SIMILAR = 0.75
"""How similar a name must be to a field's to be taken for it, 0 to 1: `qualty` is, `headers` is not `threads`."""


def refuse_unknown(form: type[dg.Config], values: dict[str, Any], path: str = "") -> None:
    """Refuse fields that the form does not have. Dagster checks only forms from its launchpad, not config files.

    Raises:
        RelayError: a field is unknown; the message names the fields there are.
    """
    for name, value in values.items():
        field = form.model_fields.get(name)
        if field is None:
            near = difflib.get_close_matches(str(name), form.model_fields, n=1, cutoff=SIMILAR)
            where = f"the fields of {path.removesuffix('.')} are" if path else "the fields are"
            hint = f"did you mean {near[0]}?" if near else f"{where} {', '.join(form.model_fields)}"
            raise RelayError(f"{path}{name} is not a field of the run config; {hint}")
        section = _section(field.annotation)
        if isinstance(value, dict) and section is not None:
            refuse_unknown(section, value, f"{path}{name}.")


def first_error(error: ValidationError, form: type[dg.Config]) -> str:
    """One sentence on the first value that is refused."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        section = _find_section(form, first["loc"])
        if section is not None:
            example = _example(section, name.rpartition(".")[2], first["input"])
            return f"{name}: {first['input']!r} is refused: {name} is a section of several fields; write {example}"
    return f"{name}: {first['input']!r} is refused: {first['msg'].lower()}"


def _find_section(form: type[dg.Config], location: tuple[int | str, ...]) -> type[dg.Config] | None:
    found: type[dg.Config] | None = form
    for part in location:
        field = found.model_fields.get(str(part)) if found is not None else None
        found = _section(field.annotation) if field is not None else None
    return found


def _section(annotation: Any) -> type[dg.Config] | None:
    """The form of a section, also of an optional one; None for a plain field."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, dg.Config)), None)


def _example(section: type[dg.Config], name: str, value: Any) -> str:
    """How to write the section: with the field that takes this value, or with its first field."""
    for field_name, field in section.model_fields.items():
        if get_origin(field.annotation) is Literal and value in get_args(field.annotation):
            return f"{name}: {{{field_name}: {value}}}"
    first, field = next(iter(section.model_fields.items()))
    return f"{name}: {{{first}: {field.default}}}, with the fields {', '.join(section.model_fields)}"
