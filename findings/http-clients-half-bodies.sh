#!/usr/bin/env bash
# httpx 0.28.1, requests 2.34.2, aiohttp 3.14.5: half of a compressed body comes back as all of it, with status 200.
#
# Two kinds of bodies lose their end without an error. The first is valid: gzip and zstd allow several members in a row,
# as parallel compressors and appending exporters write them. httpx returns the first one alone. The second ends early
# though Content-Length is right: a cache that kept what came until its origin broke serves such a body for ever. Only
# urllib3 (and so requests) notices it, and only with zstd. A list of images fetched so loses its last lines. What
# works: ask for the bytes as they are (`Accept-Encoding: identity`), or decompress them with `gzip` or `zstd` of
# Python.
#
# Seen with httpx 0.28.1, requests 2.34.2 with urllib3 2.8.0, aiohttp 3.14.5, brotli 1.2.0, backports.zstd 1.8.0, Python
# 3.11:
#
#   gzip, two members: requests all, httpx 50 %, aiohttp all
#   zstd, two members: requests all, httpx 2 %, aiohttp all
#   gzip, cut: requests 50 %, httpx 50 %, aiohttp 50 %
#   br, cut: requests 42 %, httpx 2 %, aiohttp 42 %
#   zstd, cut: requests refused, httpx 1 %, aiohttp 34 %
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx==0.28.1 requests==2.34.2 urllib3==2.8.0 \
    aiohttp==3.14.5 brotli==1.2.0 backports.zstd==1.8.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio, gzip, http.server, os, sys, threading

import aiohttp
import brotli
import httpx
import requests
from backports import zstd

for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]
lines = [b"https://shop.example/%d.jpg\n" % number for number in range(50_000)]
body, halves = b"".join(lines), (b"".join(lines[:25_000]), b"".join(lines[25_000:]))


def half(data):
    return data[: len(data) // 2]


BODIES = {
    "gzip, two members": gzip.compress(halves[0]) + gzip.compress(halves[1]),
    "zstd, two members": zstd.compress(halves[0]) + zstd.compress(halves[1]),
    "gzip, cut": half(gzip.compress(body)),
    "br, cut": half(brotli.compress(body)),
    "zstd, cut": half(zstd.compress(body)),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name, sent = list(BODIES.items())[int(self.path[1:])]
        self.send_response(200)
        self.send_header("Content-Encoding", name.split(",")[0])
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url, raise_for_status=True) as response:
        return await response.read()


CLIENTS = {
    "requests": lambda url: requests.get(url).content,
    "httpx": lambda url: httpx.get(url).content,
    "aiohttp": lambda url: asyncio.run(by_aiohttp(url)),
}
found = []
for number, name in enumerate(BODIES):
    seen = {}
    for client, get in CLIENTS.items():
        try:
            share = len(get(f"http://127.0.0.1:{server.server_port}/{number}")) / len(body)
            seen[client] = "all" if share == 1 else f"{share * 100:.0f} %"
        except Exception:
            seen[client] = "refused"
    print(f"{name}: " + ", ".join(f"{client} {answer}" for client, answer in seen.items()))
    found.append(tuple(answer if answer in ("all", "refused") else "part" for answer in seen.values()))
expected = [("all", "part", "all")] * 2 + [("part", "part", "part")] * 2 + [("refused", "part", "part")]
sys.exit(found != expected)
PYTHON
