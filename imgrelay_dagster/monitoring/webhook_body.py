"""The body of a webhook's POST: the notification as JSON, or what a template makes of it for a chat service."""

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, UndefinedError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import SandboxedEnvironment

from imgrelay_dagster.relay.errors import RelayError

SHIPPED = Path(__file__).parent / "webhooks"
"""The templates of the package, which are chosen by their names."""


def webhook_body(template: str | None, notification: Mapping[str, object]) -> bytes:
    """The body, in JSON.

    Args:
        template: the name of a shipped template, or the path of a Jinja file whose result is JSON; None for the
            notification itself.
        notification: its fields, the variables of the template.

    Raises:
        RelayError: the template cannot be read, or does not make JSON.
    """
    if template is None:
        return json.dumps(notification).encode()
    path = SHIPPED / f"{template}.json"
    if template not in names():
        path = Path(template)
    try:
        text = path.read_text(encoding="utf-8")
        # Its result is JSON, in which `tojson` escapes values; HTML escapes would change them.
        environment = SandboxedEnvironment(undefined=StrictUndefined)  # nosec B701
        unknown = sorted(find_undeclared_variables(environment.parse(text)) - notification.keys())
        if unknown:
            raise UndefinedError(f"{unknown[0]!r} is not a field; the fields are {', '.join(notification)}")
        body = environment.from_string(text).render(**notification)
        return json.dumps(json.loads(body)).encode()
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(names())
        raise RelayError(
            f"IMGRELAY_WEBHOOK_TEMPLATE {template!r} cannot be read: {getattr(error, 'strerror', error)}; "
            f"give a file, or one of {known}"
        ) from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        raise RelayError(f"IMGRELAY_WEBHOOK_TEMPLATE {template!r}{where}: {error.message}") from None
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise RelayError(
            f"IMGRELAY_WEBHOOK_TEMPLATE {template!r} does not make JSON: {error}; "
            "write values as {{ text | tojson }}"
        ) from None


def names() -> list[str]:
    """The names of the shipped templates."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))
