"""The look-up of known vulnerabilities: a finding fails, and what nobody could be asked about is not called sound."""

from tools.audit import verdict

SOUND = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_a_finding_fails_and_names_the_version_to_go_to():
    code, said = verdict([SOUND, BAD, UNKNOWN])
    assert code == 1
    assert "b 2: PYSEC-1, mended in 2.1" in said
    assert "not checked: c" in said


def test_sound_packages_pass_and_the_others_are_named():
    assert verdict([SOUND, UNKNOWN]) == (0, "no known vulnerabilities in 1 packages; not checked: c")


def test_a_service_that_knows_nothing_has_not_checked_anything():
    assert verdict([UNKNOWN]) == (None, "none of 1 packages could be looked up")
