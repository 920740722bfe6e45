"""Config mappings: one flat launchpad form for each way to launch, mapped to the config of op `plan`."""

from typing import Any, TypeVar

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.settings import StopWhenFailed

Options = TypeVar("Options", bound=RelayOptions)

OPTIONAL_SECTIONS = ("columns", "download", "shard")
"""Sections that may be left out: the launchpad need not show a dozen limits above the manifest, nor the section that a
sensor fills in."""

NOT_IN_DAY_FORM = {"dataset", "max_concurrent"}
"""Fields that the form of a daily run does not have. The day determines its dataset. The launchpad has the number of
concurrent steps in its own `execution` section, which the form of a graph-backed asset cannot fill in."""


_SHOWN_PERCENTAGE = float(str(StopWhenFailed().percentage))
_SHOWN_STOP = {"percentage": _SHOWN_PERCENTAGE, "after": StopWhenFailed().after}
"""`stop_when_failed` as the launchpad shows it when it opens.

The launchpad sends the defaults that it shows, like any other value. Dagster also fills them in where a run config
leaves them out, as those of automation and those from before this field do, and such runs never end early. The two are
told apart by the identity of this number: what was sent is another object.
"""


def relay_run_config(form: dict[str, Any]) -> dict[str, Any]:
    """Map the flat form of job `relay` to the config of `plan` and of the executor.

    Raises:
        DagsterUserCodeProcessError: a value is refused.
    """
    checked = _checked(RelayConfig, form)
    return {
        "ops": _plan_config(checked.model_dump()),
        "execution": {"config": {"max_concurrent": checked.max_concurrent}},
        # The event log has everything. On the console of a server or of the command it would be noise.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def day_run_config(form: dict[str, Any]) -> dict[str, Any]:
    """Map the flat form of a daily run to the config of `plan`. The partition determines manifest and dataset.

    Raises:
        DagsterUserCodeProcessError: a value is refused.
    """
    options = _checked(RelayOptions, form)
    return _plan_config({**options.model_dump(), "manifest": None})


def _checked(kind: type[Options], form: dict[str, Any]) -> Options:
    given = {name: value for name, value in form.items() if not (name in OPTIONAL_SECTIONS and value is None)}
    stop = given.get("stop_when_failed")
    if stop is not None and stop["percentage"] is _SHOWN_PERCENTAGE:
        del given["stop_when_failed"]
    try:
        return kind.checked(given)
    except RelayError as error:
        raise _user_error(str(error)) from None


def _plan_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config of all ops. Only `plan` has one; it passes the settings on with each task."""
    return {"plan": {"config": config}}


def _user_error(sentence: str) -> DagsterUserCodeProcessError:
    """The one kind of error that the Dagster UI shows as its message alone, without a page of stack traces."""
    info = SerializableErrorInfo(message=sentence, stack=[], cls_name=RelayError.__name__)
    return DagsterUserCodeProcessError(sentence, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]


def _form_fields(kind: type[RelayOptions]) -> dict[str, dg.Field]:
    """The fields of the form, as the launchpad gets them."""
    fields = {name: _plain_field(field) for name, field in kind.to_fields_dict().items()}
    carry = fields["carry"]
    fields["carry"] = dg.Field(
        dg.ScalarUnion(str, [str]), default_value=[], is_required=False, description=carry.description
    )
    fields["stop_when_failed"] = dg.Field(
        fields["stop_when_failed"].config_type,
        default_value=_SHOWN_STOP,
        is_required=False,
        description=fields["stop_when_failed"].description,
    )
    for name in OPTIONAL_SECTIONS:
        given = fields[name].config_type
        optional = given if isinstance(given, dg.Noneable) else dg.Noneable(given)
        fields[name] = dg.Field(optional, is_required=False, description=fields[name].description)
    return fields


def _plain_field(field: dg.Field) -> dg.Field:
    kind = _plain(field.config_type)
    if not field.default_provided:
        return dg.Field(kind, is_required=field.is_required, description=field.description)
    return dg.Field(kind, default_value=field.default_value, is_required=False, description=field.description)


def _plain(kind: Any) -> Any:
    """The config type without Dagster's `{env: NAME}` in place of a value.

    Permission to launch a run must not include reading the host's environment. The side bar is also easier to read.
    """
    match kind:
        case dg.ScalarUnion():
            return kind.scalar_type
        case dg.Array() | dg.Noneable():
            return type(kind)(_plain(kind.inner_type))
        case dg.Shape():
            return dg.Shape(  # type: ignore[no-untyped-call]
                {name: _plain_field(field) for name, field in kind.fields.items()}
            )
    return kind


relay_config_mapping = dg.ConfigMapping(
    config_fn=relay_run_config,
    config_schema=_form_fields(RelayConfig),
    receive_processed_config_values=True,
)
"""The form of job `relay`."""

day_config_mapping = dg.ConfigMapping(
    config_fn=day_run_config,
    config_schema={name: field for name, field in _form_fields(RelayOptions).items() if name not in NOT_IN_DAY_FORM},
)
"""The form of a daily run."""
