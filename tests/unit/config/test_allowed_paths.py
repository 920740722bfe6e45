"""Which files a run may read and write: what its configured folders hold, and not a byte beside."""

import os
from pathlib import Path

import pytest
from dagster_aws.s3 import S3Resource

from imgrelay_dagster.config.allowed_paths import (
    allow_arguments,
    allow_template,
    check_local_path,
    resolve_manifest,
)
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.imaging.template_folder import TemplateFolder
from imgrelay_dagster.resources import StoresResource, TemplatesResource

VARIABLES = ("IMGRELAY_DESTINATION", "IMGRELAY_MANIFESTS", "IMGRELAY_INBOX", "IMGRELAY_ARGUMENT_PATHS")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Dagster runs in, with a file beside it that no run may touch."""
    folder = tmp_path / "here"
    for name in ("manifests", "out", "examples"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("http://h/secret.jpg\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(folder)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return folder


def destination(address: str) -> str:
    settled = RelayConfig.checked({"urls": ["http://h/a.jpg"], "destination": address}).destination
    assert settled is not None
    return settled


@pytest.mark.parametrize(
    "address",
    ["out", "out/", "./out/a", "out/a/../b", "out//a", "{here}/out/a", "file://{here}/out/a", "out/a\\b", "out/%2e%2e"],
)
def test_a_destination_inside_its_folder_is_taken_in_one_spelling(address: str, here: Path):
    settled = Path(destination(address.format(here=here)))
    assert settled.is_absolute()
    assert settled.is_relative_to(here / "out")
    assert ".." not in settled.parts


@pytest.mark.parametrize(
    "address",
    [
        *(".", "..", "out/..", "out/../../elsewhere", "{here}/out/../../elsewhere", "outside", "out2", "/", "~", "~/x"),
        *("{here}/../elsewhere", "file:///etc", "file://{here}/out/../../elsewhere", "file://etc", "/proc/self/cwd/.."),
        *("//etc", "\\\\host\\share", "out\x00/../..", "file:out", "C:\\x"),
    ],
)
def test_a_destination_outside_its_folder_is_refused(address: str, here: Path):
    with pytest.raises((RelayError, ValueError)):
        destination(address.format(here=here))


@pytest.mark.parametrize(
    "address",
    [
        *("http://host/x", "https://host/x", "ftp://host/x", "memory:///x", "smb://host/x", "S3://bucket/x"),
        *("s3://user:pw@bucket/x", "s3://bucket/x?sig=1", "FILE:///etc"),
    ],
)
def test_what_is_no_store_or_carries_credentials_is_refused(address: str):
    with pytest.raises(RelayError) as refused:
        destination(address)
    assert "pw" not in str(refused.value)
    assert "sig" not in str(refused.value)


@pytest.mark.parametrize("address", ["s3://bucket", "s3://bucket/prefix/", "gs://bucket/prefix", "az://container/x"])
def test_stores_are_taken(address: str):
    assert destination(address) == address.rstrip("/")


def test_a_link_leads_out_of_no_folder(here: Path, tmp_path: Path):
    (here / "out" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (here / "manifests" / "link.txt").symlink_to(tmp_path / "secret.txt")
    (here / "manifests" / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(RelayError, match="lies outside"):
        destination("out/link")
    with pytest.raises(RelayError, match="lies outside"):
        destination("out/link/../link/deep")
    for name in ("link.txt", "manifests/link.txt", "up/secret.txt", "manifests/up/secret.txt"):
        with pytest.raises(RelayError, match="lies outside"):
            resolve_manifest(name)


def test_a_configured_folder_may_itself_be_a_link(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (here / "store").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(here / "store"))
    assert destination("store/a") == str(tmp_path / "elsewhere" / "a")
    with pytest.raises(RelayError):
        destination("out/a")


def test_where_results_go_to_a_store_no_local_folder_may_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_DESTINATION", "s3://bucket/prefix")
    assert destination("s3://other/prefix") == "s3://other/prefix"
    with pytest.raises(RelayError, match="no local folder"):
        destination("out")


@pytest.mark.parametrize("name", ["a.txt", "manifests/a.txt", "deep/a.txt"])
def test_manifests_are_read_from_their_folder(name: str, here: Path):
    (here / "manifests" / "a.txt").touch()
    assert Path(resolve_manifest(name)).is_relative_to(here / "manifests")


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.txt", "../../secret.txt", "{tmp}/secret.txt", "file://{tmp}/secret.txt", "/etc/passwd"),
        *("/dev/stdin", "manifests/../../secret.txt", "/proc/self/environ", "~/.netrc", "ftp://host/m.csv"),
    ],
)
def test_no_other_file_is_read_as_a_manifest(name: str, tmp_path: Path):
    with pytest.raises(RelayError):
        resolve_manifest(name.format(tmp=tmp_path))


def test_every_folder_for_manifests_can_be_configured(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(tmp_path / "drops"))
    monkeypatch.setenv("IMGRELAY_INBOX", str(tmp_path / "inbox"))
    for allowed in ("drops/a.txt", "inbox/b/a.txt"):
        assert resolve_manifest(str(tmp_path / allowed)) == str(tmp_path / allowed)
    with pytest.raises(RelayError):
        resolve_manifest(str(here / "manifests" / "a.txt"))


def test_folders_with_like_names_are_told_apart(here: Path):
    with pytest.raises(RelayError):
        check_local_path("destination", str(here / "outlet"), [str(here / "out")])


def test_an_argument_is_allowed_and_not_what_lies_beside_it(tmp_path: Path):
    allow_arguments([str(tmp_path / "secret.txt"), "s3://bucket/x"])
    try:
        assert resolve_manifest(str(tmp_path / "secret.txt"))
        with pytest.raises(RelayError):
            resolve_manifest(str(tmp_path / "other.txt"))
        with pytest.raises(RelayError):
            destination(str(tmp_path))
    finally:
        del os.environ["IMGRELAY_ARGUMENT_PATHS"], os.environ["IMGRELAY_ARGUMENT_ORIGINALS"]


@pytest.mark.parametrize("name", ["../secret.txt", "sub/x.png", "/etc/passwd", ".", "..", "", "x.png/../x", "sub"])
def test_a_template_name_is_no_path(name: str, tmp_path: Path, here: Path):
    (here / "sub").mkdir()
    with pytest.raises(RelayError, match="not found in"):
        TemplateFolder(here).load(name)


def test_a_bare_name_is_a_template_of_the_store(here: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_TEMPLATES", "s3://images/templates")
    (here / "frame.png").write_bytes(b"1")
    assert allow_template("frame.png") == "frame.png"
    assert "IMGRELAY_ARGUMENT_TEMPLATE" not in os.environ
    assert allow_template("./frame.png") == "frame.png"
    assert os.environ.pop("IMGRELAY_ARGUMENT_TEMPLATE") == str(here / "frame.png")


@pytest.mark.parametrize("folder", ["ftp://h/x", "s3://..", "gs://bucket/a//b", "az://Container/x"])
def test_a_template_folder_is_in_a_store_that_can_exist(folder: str):
    templates = TemplatesResource(stores=StoresResource(s3=S3Resource(), staging_address="staging"), folder=folder)
    with pytest.raises(RelayError, match=f"template folder {folder!r} "):
        templates.open()


def test_a_broken_template_is_not_quoted(here: Path, tmp_path: Path):
    (here / "link.png").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(RelayError, match="cannot be used") as refused:
        TemplateFolder(here).load("link.png")
    assert "secret" not in str(refused.value)
