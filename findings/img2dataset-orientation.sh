#!/usr/bin/env bash
# img2dataset 1.47.0: a JPEG with an EXIF orientation is stored lying on its side, and without the orientation.
#
# It decodes with OpenCV's IMREAD_UNCHANGED, which ignores the orientation, and encodes again, which drops the EXIF
# data. So a photo that a phone took upright lies on its side in the data set, and nothing says that it does: the
# status is `success`. It is so with every resize_mode unless the file is stored as it is (skip_reencode).
#
# Seen with img2dataset 1.47.0, OpenCV 4.14.0, Python 3.11:
#
#   sent 80x60 with orientation 6, which browsers show as 60x80; stored 80x60, orientation None
#
# Exits with 0 while this holds, and with 1 once the picture is turned or its orientation is kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check img2dataset==1.47.0 opencv-python-headless==4.14.0.94 \
    numpy==2.4.6 pillow==12.3.0
cat >"$folder/run.py" <<'PYTHON'
import functools, http.server, os, pathlib, sys, threading
from importlib import metadata

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
from PIL import Image


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    folder = pathlib.Path(sys.argv[1])
    served = folder / "served"
    served.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new("RGB", (80, 60), "red").save(served / "picture.jpg", exif=exif)
    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "urls.txt").write_text(f"http://127.0.0.1:{server.server_port}/picture.jpg\n")
    from img2dataset import download

    with open(os.devnull, "w") as nothing:
        shown, sys.stdout = sys.stdout, nothing
        download(url_list=str(folder / "urls.txt"), output_folder=str(folder / "out"), output_format="files",
                 resize_mode="no", processes_count=1, thread_count=1)
        sys.stdout = shown
    (stored,) = (folder / "out").rglob("*.jpg")
    image = Image.open(stored)
    image.load()
    print(f"img2dataset {metadata.version('img2dataset')}")
    orientation = image.getexif().get(0x0112)
    print("sent 80x60 with orientation 6, which browsers show as 60x80; "
          f"stored {image.width}x{image.height}, orientation {orientation}")
    sys.exit((image.size, orientation) != ((80, 60), None))


if __name__ == "__main__":
    main()
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2>/dev/null | grep --invert-match "^worker \|^total "
