"""Looks the locked dependencies up among the known vulnerabilities, with pip-audit.

Exits 1 on a finding. Where no service can be asked (a mirror that only has packages, no network) it says that
nothing was checked and exits 0: pip-audit alone would either fail there, or find "no known vulnerabilities" among
packages that it could ask nobody about.
"""

import json
import subprocess
import sys
from typing import Any

SERVICES = ("pypi", "osv")


def main() -> int:
    lock = sys.argv[1] if len(sys.argv) > 1 else "requirements.lock"
    silent = []
    for service in SERVICES:
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--timeout", "10"]
        command += ["--requirement", lock, "--require-hashes", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            code, said = verdict(json.loads(done.stdout)["dependencies"])
        except (json.JSONDecodeError, KeyError):
            code, said = None, (done.stderr.strip().splitlines() or ["no answer"])[-1].partition(":")[0]
        if code is not None:
            print(f"pip-audit ({service}): {said}")
            return code
        silent.append(f"{service}: {said}")
    print(f"pip-audit: not checked: no vulnerability service can be asked from here ({'; '.join(silent)})")
    return 0


def verdict(dependencies: list[dict[str, Any]]) -> tuple[int | None, str]:
    """The exit code and what to say; no code where the service knew none of the packages.

    Args:
        dependencies: of pip-audit's report: `name` and `version` with `vulns`, or with a `skip_reason`.
    """
    asked = [package for package in dependencies if "vulns" in package]
    if not asked:
        return None, f"none of {len(dependencies)} packages could be looked up"
    lines = [
        f"{package['name']} {package['version']}: {finding['id']}, mended in {', '.join(finding['fix_versions'])}"
        for package in asked
        for finding in package["vulns"]
    ]
    unknown = sorted(package["name"] for package in dependencies if "vulns" not in package)
    rest = f"; not checked: {', '.join(unknown)}" if unknown else ""
    if lines:
        return 1, "\n  ".join([f"{len(lines)} known vulnerabilities", *lines]) + rest
    return 0, f"no known vulnerabilities in {len(asked)} packages{rest}"


if __name__ == "__main__":
    sys.exit(main())
