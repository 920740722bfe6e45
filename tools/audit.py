"""Checks the locked dependencies for known vulnerabilities, with pip-audit.

Exits with 1 if there are any. If no vulnerability service can be reached (no network, or a mirror that only serves
packages), it prints that nothing was checked and exits with 0. pip-audit alone would either fail, or report "no known
vulnerabilities" for packages that it could not look up.
"""

import json
import subprocess
import sys
from typing import Any

SERVICES = ("pypi", "osv")


def main() -> int:
    lock = sys.argv[1] if len(sys.argv) > 1 else "requirements.lock"
    unavailable = []
    for service in SERVICES:
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--timeout", "10"]
        command += ["--requirement", lock, "--require-hashes", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            code, message = verdict(json.loads(done.stdout)["dependencies"])
        except (json.JSONDecodeError, KeyError):
            code, message = None, (done.stderr.strip().splitlines() or ["no answer"])[-1].partition(":")[0]
        if code is not None:
            print(f"pip-audit ({service}): {message}")
            return code
        unavailable.append(f"{service}: {message}")
    print(f"pip-audit: not checked: no vulnerability service can be reached ({'; '.join(unavailable)})")
    return 0


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int | None, str]:
    """Return the exit code and a message. The code is None if the service knows none of the packages.

    Args:
        dependencies: the list of pip-audit's report: `name` and `version` with `vulns`, or `name` with `skip_reason`.
    """
    checked = [package for package in dependencies if "vulns" in package]
    if not checked:
        return None, f"none of {len(dependencies)} packages could be looked up"
    lines = [
        f"{package['name']} {package['version']}: {finding['id']}, fixed in {', '.join(finding['fix_versions'])}"
        for package in checked
        for finding in package["vulns"]
    ]
    unknown = sorted(package["name"] for package in dependencies if "vulns" not in package)
    suffix = f"; not checked: {', '.join(unknown)}" if unknown else ""
    if lines:
        return 1, "\n  ".join([f"{len(lines)} known vulnerabilities", *lines]) + suffix
    return 0, f"no known vulnerabilities in {len(checked)} packages{suffix}"


if __name__ == "__main__":
    sys.exit(main())
