"""Images that kill their step's process each time: they fail, and all others are relayed."""

import json
from pathlib import Path

from imgrelay_dagster.demo.origin import Origin
from tests.support import killing_pictures
from tests.support.command import RunningCommand, run_folder
from tests.support.hostile_origin import HostileOrigin
from tests.support.stored_files import check_accounts, files, write_manifest

GOOD = 176

_KILLED_AT_RENAME = """
import os, signal

def replace(source, target, rename=os.replace):
    if str(target).endswith(".jpg"):
        try:
            os.mkdir({marks!r} + "/" + os.path.basename(target))
        except FileExistsError:
            pass
        else:
            if len(os.listdir({marks!r})) in {moments}:
                os.kill(os.getpid(), signal.SIGKILL)
    return rename(source, target)

os.replace = replace
"""

MOMENTS = (7, 23)
"""Of the images in the order of their uploads, those at which the step is killed, for the first time they come."""


def test_images_that_kill_their_step_fail_and_all_others_are_stored(tmp_path: Path, home: Path) -> None:
    images = {f"/{number}.png": killing_pictures.picture((64, 48), number) for number in range(GOOD)}
    images["/decode-1.png"] = killing_pictures.picture(killing_pictures.DECODE_SIZE, 1)
    images["/decode-2.png"] = killing_pictures.picture(killing_pictures.DECODE_SIZE, 2)
    images["/encode.png"] = killing_pictures.picture(killing_pictures.ENCODE_SIZE)
    names = sorted(images, key=hash)
    with HostileOrigin({name: (data, "image/png") for name, data in images.items()}) as origin:
        manifest = write_manifest(tmp_path, [origin.url(name) for name in names])
        with RunningCommand(
            home,
            tmp_path,
            *("--manifest", manifest, "--destination", tmp_path / "out", "--urls-per-task", 100),
            *("--tolerated-failure-percentage", 100, "--json"),
            cold=True,
            PYTHONPATH=killing_pictures.install(tmp_path),
        ) as command:
            ran = command.wait(240)
    assert ran.code == 0, ran.err
    records = [json.loads(line) for line in (run_folder(tmp_path / "out") / "results.jsonl").read_text().splitlines()]
    failed = {record["url"].rpartition("/")[2]: record for record in records if record["outcome"] != "uploaded"}
    assert set(failed) == {"decode-1.png", "decode-2.png", "encode.png"}
    assert {record["reason"] for record in failed.values()} == {"internal_error"}
    assert "memory ran out for an image of 131x67 pixels" in failed["decode-1.png"]["detail"]
    assert "killed 2 times while it worked on this image alone" in failed["encode.png"]["detail"]
    assert sum(record["outcome"] == "uploaded" for record in records) == GOOD


def test_a_killed_upload_leaves_no_half_file_in_the_output_folder(tmp_path: Path, home: Path) -> None:
    marks, out = tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    (tmp_path / "sitecustomize.py").write_text(_KILLED_AT_RENAME.format(marks=str(marks), moments=MOMENTS))
    with Origin() as origin:
        manifest = write_manifest(tmp_path, [origin.url(f"jpeg/tiny-sunset.jpg?n={n}") for n in range(GOOD)])
        arguments = ("--manifest", manifest, "--destination", out, "--json")
        with RunningCommand(home, tmp_path, *arguments, cold=True, PYTHONPATH=str(tmp_path)) as command:
            ran = command.wait(240)
    assert ran.code == 0, ran.err
    assert len(list(marks.iterdir())) == GOOD
    check_accounts(files(out), ran.summary, GOOD)
    assert not [path for path in out.rglob("*") if "#" in path.name or ".partial" in path.parts]
