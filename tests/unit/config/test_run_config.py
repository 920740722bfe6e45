"""The run config: what it accepts, what it refuses and in which words."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster_graphql.schema.run_config import default_values_yaml_from_type_snap

from imgrelay_dagster.config.allowed_paths import allow_arguments
from imgrelay_dagster.config.config_mapping import day_config_mapping, relay_run_config
from imgrelay_dagster.config.run_config import RelayConfig
from imgrelay_dagster.config.run_options import RelayOptions
from imgrelay_dagster.definitions import defs
from imgrelay_dagster.relay.errors import RelayError
from imgrelay_dagster.relay.settings import Sample, Settings


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("IMGRELAY_DESTINATION", "IMGRELAY_MANIFESTS", "IMGRELAY_INBOX", "IMGRELAY_ARGUMENT_PATHS"):
        monkeypatch.delenv(name, raising=False)


URLS = {"urls": ["http://h/a.jpg"]}


def test_the_defaults_are_those_of_the_engine(tmp_path: Path):
    settings = RelayConfig.checked(URLS).settings()
    engine = Settings(dataset="adhoc", destination=str(tmp_path / "out"))
    machine = {"max_concurrent": settings.max_concurrent, "max_entries_per_run": 100_000}
    assert settings == replace(engine, whole_list=False, **machine)  # URLs given one by one


def test_the_dataset_is_named_after_the_manifest(tmp_path: Path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "birds.csv.gz").touch()
    assert RelayConfig.checked({"manifest": "birds.csv.gz"}).dataset == "birds"
    assert RelayConfig.checked({"manifest": "birds.csv.gz", "dataset": "own"}).dataset == "own"
    assert RelayConfig.checked(URLS).dataset == "adhoc"


def test_a_field_that_was_emptied_is_one_that_was_not_given():
    """Emptied in the launchpad it would else hide the URLs, and the run would succeed without one."""
    form = RelayConfig.checked({**URLS, "url_lines": "", "manifest": ""})
    assert (form.urls, form.url_lines, form.manifest) == (URLS["urls"], None, None)
    with pytest.raises(RelayError, match="the run config has none of them"):
        RelayConfig.checked({"url_lines": "", "manifest": ""})


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "give exactly one of urls, url_lines and manifest; the run config has none of them"),
        ({**URLS, "url_lines": "http://h/b"}, "the run config has urls and url_lines"),
        ({**URLS, "output": {"quality": 101}}, "output.quality: 101 is refused: input should be less than or equal"),
        ({**URLS, "output": {"background": "blueish"}}, "'blueish' is not a colour"),
        ({**URLS, "output": {"format": "gif"}}, "output.format: 'gif' is refused"),
        ({**URLS, "layout": {"opacity": 2}}, "layout.opacity: 2"),
        ({**URLS, "download": {"attempts": 0}}, "download.attempts: 0"),
        ({**URLS, "tolerated_failure_percentage": 101}, "tolerated_failure_percentage: 101"),
        ({**URLS, "urls_per_task": 0}, "urls_per_task: 0"),
        ({**URLS, "refesh": True}, "refesh is not a field of the run config; did you mean refresh?"),
        ({**URLS, "output": {"qualty": 3}}, "output.qualty is not a field of the run config; did you mean quality?"),
        ({**URLS, "output": "png"}, "output: 'png' is refused"),
        ({**URLS, "dataset": "../x"}, "dataset"),
        ({**URLS, "destination": "/etc"}, "destination '/etc' lies outside the folders that runs may use"),
        ({**URLS, "destination": "http://host/x"}, "is not in a known store"),
        ({"manifest": "/etc/passwd"}, "manifest '/etc/passwd' lies outside the folders that runs may use"),
        ({"manifest": "../../etc/passwd"}, "lies outside the folders that runs may use"),
    ],
)
def test_wrong_values_are_refused_in_words(form: dict[str, object], message: str):
    with pytest.raises(RelayError) as refused:
        RelayConfig.checked(form)
    assert message in str(refused.value)


def test_a_link_out_of_the_folder_does_not_lead_out(tmp_path: Path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "x.txt").symlink_to("/etc/passwd")
    with pytest.raises(RelayError, match="lies outside"):
        RelayConfig.checked({"manifest": "x.txt"})


def test_configured_folders_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_DESTINATION", str(tmp_path / "store"))
    monkeypatch.setenv("IMGRELAY_MANIFESTS", str(tmp_path / "drops"))
    form = {"manifest": f"{tmp_path}/drops/a/b.txt", "destination": f"{tmp_path}/store/sub"}
    assert RelayConfig.checked(form).destination == f"{tmp_path}/store/sub"


def test_what_the_command_line_names_is_allowed_for_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGRELAY_ARGUMENT_PATHS", "")
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(RelayError):
        RelayConfig.checked({**URLS, "destination": str(elsewhere)})
    allow_arguments([str(elsewhere)])
    assert RelayConfig.checked({**URLS, "destination": str(elsewhere)}).destination == str(elsewhere)


def test_only_plan_is_given_a_config():
    mapped = relay_run_config(URLS)
    assert set(mapped["ops"]) == {"plan"}
    assert mapped["ops"]["plan"]["config"]["urls"] == URLS["urls"]
    assert mapped["execution"]["config"]["max_concurrent"] >= 2


def test_every_field_of_the_form_is_described():
    job = defs.resolve_job_def("relay")
    schema = job.run_config_schema.config_type

    def undescribed(kind: object, path: str) -> list[str]:
        found = []
        for name, field in getattr(getattr(kind, "inner_type", kind), "fields", {}).items():
            if not field.description:
                found.append(f"{path}{name}")
            found += undescribed(field.config_type, f"{path}{name}.")
        return found

    assert undescribed(schema, "") == []
    assert {"urls", "url_lines", "manifest", "layout", "output", "download", "recheck"} <= set(schema.fields)


def test_columns_and_carry_are_described_and_usable_in_the_launchpad():
    for job in (defs.resolve_job_def("relay"), defs.resolve_job_def("relay_day")):
        form = job.run_config_schema.config_type
        if job.name == "relay_day":
            form = form.fields["ops"].config_type.fields["relayed_images"].config_type.fields["config"].config_type
        columns = form.fields["columns"].config_type.inner_type.fields
        assert "Column of the image URLs" in columns["url"].description
        assert "What separates several URLs in one cell" in columns["split"].description
        assert "carried into the results" in form.fields["carry"].description
    columns = {"url": "Picture", "split": "|", "skip_empty": True}
    for carry in (["sku", "title"], "sku, title"):
        (config,) = relay_run_config({**URLS, "columns": columns, "carry": carry})["ops"].values()
        options = RelayConfig(**config["config"]).read_options()
        assert (options.columns.url, options.columns.split, options.columns.skip_empty) == ("Picture", "|", True)
        assert options.carry == ("sku", "title")


def test_the_ui_is_told_what_is_wrong_and_nothing_else():
    job = defs.resolve_job_def("relay")
    with pytest.raises(dg.DagsterError) as refused:
        dg.validate_run_config(job, {**URLS, "output": {"quality": 500}})
    info = serializable_error_info_from_exc_info((refused.type, refused.value, refused.tb))
    sentence = "output.quality: 500 is refused: input should be less than or equal to 100"
    assert info.to_string().strip() == sentence
    assert str(refused.value) == sentence


def test_the_form_does_not_read_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_SECRET", "frame.png")
    job = defs.resolve_job_def("relay")
    for form in ({"template": {"env": "A_SECRET"}}, {"output": {"background": {"env": "A_SECRET"}}}):
        with pytest.raises(dg.DagsterInvalidConfigError, match="Invalid scalar"):
            dg.validate_run_config(job, {**URLS, **form})


def test_the_launchpad_opens_without_the_limits_on_downloads():
    job = defs.resolve_job_def("relay")
    schema = job.get_job_snapshot().config_schema_snapshot
    opened = default_values_yaml_from_type_snap(schema, schema.get_config_snap(job.run_config_schema.config_type.key))
    assert {"layout", "output", "template"} <= set(yaml.safe_load(opened))
    assert "download" not in opened
    for given, attempts in (({}, 3), ({"download": None}, 3), ({"download": {"attempts": 7}}, 7)):
        config = dg.validate_run_config(job, {**URLS, **given})["ops"]["plan"]["config"]
        assert config["download"]["attempts"] == attempts


def test_the_launchpad_opens_with_an_early_end_that_other_run_configs_do_not_have():
    job = defs.resolve_job_def("relay")
    schema = job.get_job_snapshot().config_schema_snapshot
    opened = default_values_yaml_from_type_snap(schema, schema.get_config_snap(job.run_config_schema.config_type.key))
    shown = {"percentage": 50.0, "after": 500}
    assert yaml.safe_load(opened)["stop_when_failed"] == shown
    for given, used in (
        ({}, None),
        ({"stop_when_failed": None}, None),
        ({"stop_when_failed": {"percentage": 50.0, "after": 500}}, shown),
        ({"stop_when_failed": {}}, shown),
        ({"stop_when_failed": {"after": 7}}, {"percentage": 50.0, "after": 7}),
    ):
        config = dg.validate_run_config(job, {**URLS, **given})["ops"]["plan"]["config"]
        assert config["stop_when_failed"] == used, given


def test_the_form_of_a_day_shows_an_early_end_too():
    for form, used in (({}, None), ({"stop_when_failed": {"after": 9}}, {"percentage": 50.0, "after": 9})):
        mapped = day_config_mapping.resolve_from_unvalidated_config(form)
        assert mapped["plan"]["config"]["stop_when_failed"] == used


def test_a_wrong_form_is_refused_before_anything_starts():
    job = defs.resolve_job_def("relay")
    with pytest.raises(dg.DagsterInvalidConfigError, match="quality"):
        dg.validate_run_config(job, {"urls": ["http://h/a"], "output": {"quality": "high"}})
    assert dg.validate_run_config(job, URLS)


def test_whoever_launches_a_day_changes_no_resource():
    job = defs.resolve_job_def("relay_day")
    for name, value in (
        ("http", {"allowed_hosts": ["0.0.0.0/0"]}),
        ("stores", {"staging_address": "/etc"}),
        ("templates", {"folder": "/etc"}),
        ("io_manager", {"base_dir": "/etc"}),
    ):
        with pytest.raises(dg.DagsterInvalidConfigError, match="unexpected config entry"):
            dg.validate_run_config(job, {"resources": {name: {"config": value}}})


def test_the_form_of_a_day_has_what_its_day_leaves_open():
    job = defs.resolve_job_def("relay_day")
    form = job.run_config_schema.config_type.fields["ops"].config_type.fields["relayed_images"].config_type
    fields = form.fields["config"].config_type.fields
    assert set(RelayOptions.model_fields) - set(fields) == {"dataset", "max_concurrent"}
    assert all(field.description for field in fields.values())
    given = {"ops": {"relayed_images": {"config": {"output": {"quality": 500}}}}}
    with pytest.raises(dg.DagsterError) as refused:
        dg.validate_run_config(job, given)
    assert str(refused.value) == "output.quality: 500 is refused: input should be less than or equal to 100"


def test_a_sample_has_a_dataset_of_its_own_and_never_shards():
    config = RelayConfig.checked({"urls": ["https://h/a.jpg"], "dataset": "birds", "sample": 20})
    settings = RelayConfig.checked(config.model_dump()).settings()  # the command checks a config, and so does the job
    assert (settings.dataset, settings.sample, settings.max_entries_per_run) == ("birds-sample", Sample(20), None)
    assert settings.refresh
    assert not settings.whole_list


def test_a_sample_is_no_dry_run():
    with pytest.raises(RelayError, match="exclude each other"):
        RelayConfig.checked({"urls": ["https://h/a.jpg"], "sample": 20, "dry_run": True})
