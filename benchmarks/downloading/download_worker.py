"""Downloads the URLs of a list one after the other with imgrelay's engine, and prints the CPU time as JSON.

A script without imports of this project's benchmarks, so that it also runs with the package of another checkout.

download_worker.py LIST
"""

import json
import sys
import threading
import time
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path

try:
    from imgrelay_dagster.relay.fetch.address_guard import AddressGuard
    from imgrelay_dagster.relay.fetch.downloader import Downloader, Limits
except ImportError:  # a checkout from before these modules had their names
    from imgrelay_dagster.relay.download import Downloader
    from imgrelay_dagster.relay.web.addresses import AddressGuard
    from imgrelay_dagster.relay.web.limits import Limits

urls = Path(sys.argv[1]).read_text().split()
with Downloader(Limits(), AddressGuard(["127.0.0.0/8"]), stop=threading.Event()) as downloader:

    def download(part: list[str]) -> int:
        return sum(downloader.fetch(url, lambda: nullcontext(BytesIO())).bytes_in for url in part)

    download(urls[:50])  # warm
    began = time.process_time()
    size = download(urls)
    print(json.dumps({"cpu": time.process_time() - began, "images": len(urls), "bytes": size}))
