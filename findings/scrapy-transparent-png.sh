#!/usr/bin/env bash
# Scrapy 2.19.0: ImagesPipeline stores a transparent PNG or WebP on black, and encodes every JPEG once more.
#
# Its code has a white background for PNG and WebP, and keeps a JPEG's bytes where nothing has to be changed. Both look
# at `Image.format`. Before that, the picture is turned upright by `ImageOps.exif_transpose`, which returns a copy, also
# for a picture that is upright already, and a copy has no format. So neither applies: transparent pixels show the
# colour that they have below, which is black in most files, and a JPEG loses quality by the default quality of 75, and
# its metadata. Only pictures with a palette get the white background. The item's status is `downloaded`.
#
# Seen with Scrapy 2.19.0, Pillow 13.0.0, Python 3.11:
#
#   clear.png: transparent pixels became black
#   clear.webp: transparent pixels became black
#   palette.png: transparent pixels became white
#   photo.jpg: stored anew, of 38 % of its size
#
# Exits with 0 while this holds, and with 1 once transparent pixels become white or a JPEG is kept.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scrapy==2.19.0 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import functools, hashlib, http.server, os, pathlib, sys, threading

import scrapy
from PIL import Image
from scrapy.crawler import CrawlerProcess

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
folder = pathlib.Path(sys.argv[1])
served = folder / "served"
served.mkdir()
clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
clear.paste((200, 0, 0, 255), (16, 16, 32, 32))
clear.save(served / "clear.png")
clear.save(served / "clear.webp", lossless=True)
clear.quantize(8).save(served / "palette.png")
noise = Image.effect_noise((256, 256), 20).convert("RGB")
noise.save(served / "photo.jpg", quality=98, subsampling=0)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(served)))
threading.Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
names = ["clear.png", "clear.webp", "palette.png", "photo.jpg"]


class Pictures(scrapy.Spider):
    name = "pictures"

    async def start(self):
        yield {"image_urls": [f"{origin}/{name}" for name in names]}


process = CrawlerProcess({
    "ITEM_PIPELINES": {"scrapy.pipelines.images.ImagesPipeline": 1}, "IMAGES_STORE": str(folder / "stored"),
    "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False,
})
process.crawl(Pictures)
process.start()
found = []
for name in names:
    url = f"{origin}/{name}"
    path = folder / "stored" / "full" / (hashlib.sha1(url.encode()).hexdigest() + ".jpg")
    if name == "photo.jpg":
        same = path.read_bytes() == (served / name).read_bytes()
        share = path.stat().st_size / (served / name).stat().st_size
        found.append(same)
        print(f"{name}: {'kept' if same else f'stored anew, of {share * 100:.0f} % of its size'}")
        continue
    with Image.open(path) as image:
        brightness = image.convert("L").getpixel((4, 4))
    found.append("black" if brightness < 20 else "white" if brightness > 235 else str(brightness))
    print(f"{name}: transparent pixels became {found[-1]}")
sys.exit(found != ["black", "black", "white", False])
PYTHON
