"""tools/audit.py: a vulnerability fails the check, and packages that were not looked up are not reported as safe."""

from tools.audit import verdict

SAFE = {"name": "a", "version": "1", "vulns": []}
VULNERABLE = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_a_vulnerability_fails_and_names_the_fixed_version():
    code, message = verdict([SAFE, VULNERABLE, UNKNOWN])
    assert code == 1
    assert "b 2: PYSEC-1, fixed in 2.1" in message
    assert "not checked: c" in message


def test_safe_packages_pass_and_unknown_ones_are_named():
    assert verdict([SAFE, UNKNOWN]) == (0, "no known vulnerabilities in 1 packages; not checked: c")


def test_a_service_that_knows_no_package_has_checked_nothing():
    assert verdict([UNKNOWN]) == (None, "none of 1 packages could be looked up")
