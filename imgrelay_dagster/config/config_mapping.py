"""The forms of the launchpad: one flat form for each way to launch, given to op `plan`."""

from typing import Any, TypeVar

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from imgrelay_dagster.config.run_config import RelayConfig, RelayOptions
from imgrelay_dagster.relay.errors import RelayError

Options = TypeVar("Options", bound=RelayOptions)

LEFT_OUT = ("download", "shard")
"""Fields that may be left out altogether, so that the launchpad does not open with a dozen limits before the manifest,
nor with what only a sensor fills in."""

NOT_OF_A_DAY = {"dataset", "max_concurrent"}
"""Fields that the form of a daily drop does not have: its dataset follows from the day, and the number of steps at
once stands in the launchpad's own `execution` section, which a form of a graph-backed asset cannot fill in."""


def relay_run_config(form: dict[str, Any]) -> dict[str, Any]:
    """Share the flat form of job `relay` between `plan` and the executor.

    Raises:
        DagsterUserCodeProcessError: a value is refused.
    """
    checked = _checked(RelayConfig, form)
    return {
        "ops": _ops(checked.model_dump()),
        "execution": {"config": {"max_concurrent": checked.max_concurrent}},
        # Everything is in the event log; on the console of a server or a command line it would be noise.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def day_run_config(form: dict[str, Any]) -> dict[str, Any]:
    """Give the flat form of a daily drop to `plan`. Manifest and dataset follow from the run's partition.

    Raises:
        DagsterUserCodeProcessError: a value is refused.
    """
    options = _checked(RelayOptions, form)
    return _ops({**options.model_dump(), "manifest": None})


def _checked(kind: type[Options], form: dict[str, Any]) -> Options:
    given = {name: value for name, value in form.items() if not (name in LEFT_OUT and value is None)}
    try:
        return kind.checked(given)
    except RelayError as error:
        raise _refusal(str(error)) from None


def _ops(config: dict[str, Any]) -> dict[str, Any]:
    """What the ops are given: only `plan` anything, which hands the settings on."""
    return {"plan": {"config": config}}


def _refusal(sentence: str) -> DagsterUserCodeProcessError:
    """The one error that the Dagster UI shows as its words alone; any other comes with a page of stack traces."""
    info = SerializableErrorInfo(message=sentence, stack=[], cls_name=RelayError.__name__)
    return DagsterUserCodeProcessError(sentence, user_code_process_error_infos=[info])  # type: ignore[no-untyped-call]


def _form_fields(kind: type[RelayOptions]) -> dict[str, dg.Field]:
    """The form as the launchpad gets it."""
    fields = {name: _plain_field(field) for name, field in kind.to_fields_dict().items()}
    for name in LEFT_OUT:
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

    Whoever can launch a run must not thereby read the host's environment, and the side bar is easier to read.
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
    config_schema={name: field for name, field in _form_fields(RelayOptions).items() if name not in NOT_OF_A_DAY},
)
"""The form of a daily drop."""
