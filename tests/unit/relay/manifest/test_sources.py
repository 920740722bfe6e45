"""Manifests in a store."""

import gzip

import obstore
import pytest
from obstore.store import MemoryStore

from imgrelay_dagster.relay.manifest.reader import read_manifest
from tests.support.manifests import FILES, read


@pytest.mark.parametrize("name", FILES)
def test_streams_that_obstore_opens_can_be_read(name: str) -> None:
    store = MemoryStore()
    for path, data in ((name, FILES[name].encode()), (name + ".gz", gzip.compress(FILES[name].encode()))):
        store.put(path, data)
        assert list(read_manifest(obstore.open_reader(store, path), path)) == read(FILES[name], name)  # type: ignore[arg-type]
