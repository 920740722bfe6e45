"""Classes of hosts, so that failures can be counted by origin without a number for each of many thousand hosts."""

import os
from collections.abc import Callable
from functools import partial

from imgrelay_dagster.config import environment
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.fetch.origin_settings import OriginRules, read_origin_settings
from imgrelay_dagster.relay.results.writer import source_kind


def host_classes() -> Callable[[str], str]:
    """The function that classifies a URL: the host pattern of its settings (`IMGRELAY_ORIGIN_SETTINGS`), else its kind.

    A settings file that is not valid fails a run elsewhere; here it only means that there are no patterns.
    """
    try:
        rules = read_origin_settings(environment.ORIGIN_SETTINGS.get(), os.environ)
    except RelayError:
        rules = OriginRules()
    return partial(_class_of, rules)


def _class_of(rules: OriginRules, url: str) -> str:
    kind, host = source_kind(url)
    return (rules.pattern_of(host) if host else None) or kind
