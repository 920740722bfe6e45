#!/usr/bin/env bash
# img2dataset 1.47.0: a picture with 16 bits a sample is stored nearly white, with the status `success`.
#
# OpenCV's IMREAD_UNCHANGED keeps the 16 bits. Its JPEG encoder takes 8 and saturates: each sample above 255, that is
# above 0.4 % of full brightness, becomes white. Scans, medical pictures and exports of photo editors are such PNG files.
#
# Seen with img2dataset 1.47.0, OpenCV 4.14.0, Python 3.11:
#
#   sent a gray ramp from black to white in 16 bits; stored 99 % white
#
# Exits with 0 while this holds, and with 1 once the ramp is one.
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
import numpy
from PIL import Image


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main():
    folder = pathlib.Path(sys.argv[1])
    served = folder / "served"
    served.mkdir()
    ramp = numpy.linspace(0, 65535, 80 * 60).reshape(60, 80).astype(numpy.uint16)
    Image.fromarray(ramp).save(served / "picture.png")
    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (folder / "urls.txt").write_text(f"http://127.0.0.1:{server.server_port}/picture.png\n")
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
    white = (numpy.asarray(image.convert("L")) == 255).mean()
    print(f"sent a gray ramp from black to white in 16 bits; stored {white:.0%} white".replace("%", " %"))
    sys.exit(int(white < 0.9))


if __name__ == "__main__":
    main()
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder" 2>/dev/null | grep --invert-match "^worker \|^total "
