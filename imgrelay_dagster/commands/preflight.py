"""Checks before a run is launched: the run config, the template, the manifest and, with Celery, the broker."""

from functools import partial
from typing import Any

from imgrelay_dagster.config import environment
from imgrelay_dagster.config.allowed_paths import resolve_manifest
from imgrelay_dagster.config.executor_choice import CELERY, executor_name
from imgrelay_dagster.config.profiles import APPLIED, choose, merge
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.forkserver.child_call import call_in_child
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.manifest.folder_rows import is_folder
from imgrelay_dagster.relay.manifest.reader import read_manifest
from imgrelay_dagster.relay.manifest.sources import open_local
from imgrelay_dagster.relay.storage.addresses import absolute, is_remote
from imgrelay_dagster.relay.storage.retry_policy import INTERACTIVE
from imgrelay_dagster.resources import HttpResource, TemplatesResource, build_resources, build_stores


def check_run_config(config: dict[str, Any]) -> RelayConfig:
    """Validate a run config and the inputs that it names.

    This also loads the template, so that step processes forked from this one have it already.

    Raises:
        RelayError: the config or one of its inputs cannot be used.
    """
    # Always a single run, whatever the number of entries: shard runs need the Dagster daemon, which may not be running.
    checked = RelayConfig.checked({**_with_profile(config), "max_entries_per_run": None})
    _check_inputs(checked, config)
    return checked


def _with_profile(config: dict[str, Any]) -> dict[str, Any]:
    """The run config with the profile of its manifest applied; every value that the user gave wins over it."""
    stores = build_stores()
    manifest = config.get("manifest")
    manifest = resolve_manifest(manifest) if isinstance(manifest, str) else None
    choice = partial(choose, config.get("profile"), manifest, partial(stores.open, policy=INTERACTIVE))
    remote = any(address is not None and is_remote(address) for address in (manifest, environment.PROFILES.get()))
    chosen = call_in_child(choice) if remote else choice()  # steps are forked from this process later
    if chosen is None:
        return config
    return {**merge(chosen.values, config), "profile": f"{APPLIED}{chosen.name or ''}"}


def _check_template(templates: TemplatesResource, name: str) -> None:
    """Load the run's template; from a store in a child process, because steps are forked from this one later.

    Raises:
        RelayError: it does not exist or cannot be read.
    """
    if templates.is_remote:
        call_in_child(lambda: templates.open().load(name).digest)
    else:
        templates.open().load(name)


def _check_inputs(config: RelayConfig, given: dict[str, Any]) -> None:
    """Find wrong names before a run is created. The run itself checks what the files contain.

    Args:
        config: the validated config, with absolute paths.
        given: the config as the user wrote it, for the messages.

    Raises:
        RelayError: the template or a local manifest does not exist or cannot be read, an allowed host is invalid, or
            the broker does not answer.
    """
    if executor_name() == CELERY:
        from imgrelay_dagster.execution.celery.executor import check_broker  # noqa: PLC0415 - an optional extra

        check_broker()
    resources = build_resources()
    templates, http = resources["templates"], resources["http"]
    assert isinstance(templates, TemplatesResource)
    assert isinstance(http, HttpResource)
    _check_template(templates, config.template)
    http.guard()
    http.origin_rules()
    if config.manifest is None or is_remote(config.manifest):
        return
    if is_folder(config.manifest):
        return
    try:
        with open_local(config.manifest) as file:
            read_manifest(file, config.manifest)
    except FileNotFoundError as error:
        raise RelayError(
            f"manifest {given['manifest']!r} does not exist; its full path is {absolute(given['manifest'])}"
        ) from error
    except OSError as error:
        raise RelayError(f"manifest {given['manifest']!r} cannot be read: {error.strerror}") from error
