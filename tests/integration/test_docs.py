"""README and docs are correct: their commands run; their options, make targets, links, names and reasons exist.

Shell blocks below `<!-- run -->` are executed. All blocks of a page run in one folder, which holds `examples/`.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgrelay_dagster.commands.arguments import build_parser
from imgrelay_dagster.demo.manifests import SAMPLE_PORT
from imgrelay_dagster.demo.origin import Origin
from imgrelay_dagster.relay.outcomes import PERMANENT_REASONS, Reason
from tests.conftest import ROOT, command_environment
from tests.support.command import assert_quiet

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
RUN = re.compile(r"<!-- run -->\n```sh\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```", re.DOTALL)


def shell_lines() -> Iterator[tuple[str, str]]:
    """Yield every command line in the pages, with the name of its page."""
    for page in PAGES:
        for block in SHELL.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                yield page.name, line.strip()


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if RUN.search(page.read_text())], ids=lambda page: page.name)
def test_marked_commands_run(page: Path, origin: Origin, home: Path, tmp_path: Path):
    here = tmp_path / "here"
    shutil.copytree(ROOT / "examples", here / "examples")
    for manifest in (here / "examples").glob("*.csv"):
        manifest.write_text(manifest.read_text().replace(f":{SAMPLE_PORT}/", f":{origin.port}/"))
    script = "set -eu\n" + "".join(RUN.findall(page.read_text()))
    environment = command_environment(home)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=here, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert_quiet(done.stderr)


def test_getting_started_has_three_marked_blocks():
    assert len(RUN.findall((ROOT / "docs" / "getting-started.md").read_text())) == 3


def test_shown_command_lines_are_valid():
    """The command accepts every `imgrelay` command line in the docs."""
    parsed = 0
    for page, line in shell_lines():
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if not words or words[0] not in ("imgrelay", ".venv/bin/imgrelay") or words[1:] in (["run", "--help"], []):
            continue
        try:
            build_parser().parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"{page} shows an invalid command line: {line}")
        parsed += 1
    assert parsed >= 8


def test_named_make_targets_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        code = re.findall(r"`([^`\n]+)`", page.read_text()) + [
            line for name, line in shell_lines() if name == page.name
        ]
        named = {found[1] for text in code if (found := re.match(r"make ([a-z]+)", text))}
        assert named <= targets, f"{page.name} names {named - targets}"


def test_links_have_a_target():
    for page in PAGES:
        for link in LINK.findall(CODE.sub("", page.read_text())):
            if link.startswith(("http://", "https://")):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name} links to {link}"
            assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"


def test_lines_have_at_most_120_columns():
    """Tables excepted."""
    long = [
        f"{page.name}:{number}"
        for page in PAGES
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > 120 and not line.startswith("|")
    ]
    assert not long


def test_pictures_are_small_and_used():
    shown = {
        (page.parent / link).resolve() for page in PAGES for link in LINK.findall(page.read_text()) if ".png" in link
    }
    for picture in (ROOT / "docs" / "images").glob("*.png"):
        assert picture.stat().st_size < 250_000, picture.name
        assert picture in shown, f"no page shows {picture.name}"


def test_every_reason_is_explained():
    rows = re.findall(r"^\| `(\w+)` \|[^|]+\| ([^|]+) \|", (ROOT / "docs" / "results.md").read_text(), re.MULTILINE)
    repeated = {name: cell for name, cell in rows if name in set(Reason)}
    assert set(repeated) == {reason.value for reason in Reason}
    assert {name for name, cell in repeated.items() if cell.strip() == "no"} == {
        reason.value for reason in PERMANENT_REASONS
    }
