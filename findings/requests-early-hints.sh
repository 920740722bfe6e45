#!/usr/bin/env bash
# requests 2.34.2: an interim answer, such as 103 Early Hints, is returned as the answer: no body, and no error.
#
# HTTP allows any number of 1xx answers before the final one, and clients have to skip those that they do not know. The
# HTTP client of Python skips 100 alone. So requests and urllib3 return 102 or 103 with an empty body;
# `raise_for_status` passes, as 103 is no error, and the picture that follows is never read. A download by `if
# response.ok` stores an empty file. httpx and aiohttp skip interim answers.
#
# Seen with requests 2.34.2, urllib3 2.8.0, httpx 0.28.1, aiohttp 3.14.5, Python 3.11:
#
#   before the picture comes 100: requests 200 with 7 bytes, httpx 200 with 7 bytes, aiohttp 200 with 7 bytes
#   before the picture comes 102: requests 102 with 0 bytes, httpx 200 with 7 bytes, aiohttp 200 with 7 bytes
#   before the picture comes 103: requests 103 with 0 bytes, httpx 200 with 7 bytes, aiohttp 200 with 7 bytes
#   response.ok of 103 in requests: True
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
    aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio, http.server, os, sys, threading

import aiohttp
import httpx
import requests

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        interim = {"100": "100 Continue", "102": "102 Processing",
                   "103": "103 Early Hints\r\nLink: </style.css>; rel=preload"}[self.path[1:]]
        self.wfile.write(f"HTTP/1.1 {interim}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n"
                         "Connection: close\r\n\r\npicture".encode())
        self.close_connection = True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()


def by_requests(url):
    response = requests.get(url, timeout=20)
    return response.status_code, len(response.content), response.ok


def by_httpx(url):
    response = httpx.get(url)
    return response.status_code, len(response.content), response.is_success


def by_aiohttp(url):
    async def run():
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, len(await response.read()), response.ok

    return asyncio.run(run())


found = []
for interim in ("100", "102", "103"):
    seen = [get(f"http://127.0.0.1:{server.server_port}/{interim}") for get in (by_requests, by_httpx, by_aiohttp)]
    answers = ", ".join(f"{client} {status} with {size} bytes"
                        for client, (status, size, _) in zip(("requests", "httpx", "aiohttp"), seen))
    print(f"before the picture comes {interim}: {answers}")
    found.append([answer[:2] for answer in seen])
    ok = seen[0][2]
print(f"response.ok of 103 in requests: {ok}")
final = (200, 7)
sys.exit(found != [[final] * 3, [(102, 0), final, final], [(103, 0), final, final]] or not ok)
PYTHON
