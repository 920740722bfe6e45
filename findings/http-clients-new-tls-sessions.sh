#!/usr/bin/env bash
# requests 2.34.2, httpx 0.28.1, aiohttp 3.14.5: no TLS session is ever resumed, also not within one session or client.
#
# A session object pools connections, so one expects that it keeps what makes the next connection to a host cheap, too.
# curl and obstore (reqwest) do: where a server closes connections, as many do after 100 or 1,000 requests, or has an
# idle timeout shorter than the pauses, they resume by the ticket of the first one. The three Python clients make a full
# handshake each time: certificates are sent, checked and signed for again, by both sides. Python's `ssl` resumes only
# where a program passes `session=` to `wrap_socket`, which none of them does.
#
# Seen with requests 2.34.2 (urllib3 2.8.0), httpx 0.28.1, aiohttp 3.14.5, obstore 0.12.1, pycurl 7.46.0, Python 3.11 (a
# server of TLS 1.3 that closes after each answer; five requests by one session):
#
#   requests: 0 of 4 further connections resumed
#   httpx: 0 of 4 further connections resumed
#   aiohttp: 0 of 4 further connections resumed
#   obstore: 4 of 4 further connections resumed
#   pycurl: 4 of 4 further connections resumed
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.2 urllib3==2.8.0 httpx==0.28.1 \
    aiohttp==3.14.5 obstore==0.12.1 pycurl==7.46.0 trustme==1.2.1
"$folder/venv/bin/python" - "$folder/ca.pem" <<'PYTHON'
import asyncio, os, socket, ssl, sys, threading

import aiohttp
import httpx
import pycurl
import requests
import trustme
from obstore.store import HTTPStore

for name in [name for name in os.environ if name.lower().endswith(("_proxy", "_ca_bundle")) or name.startswith("SSL_")]:
    del os.environ[name]
REQUESTS = 5
ca_file = sys.argv[1]
ca = trustme.CA()
ca.cert_pem.write_to_path(ca_file)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
ca.issue_cert("localhost").configure_cert(context)
resumed = []


def answer(connection):
    try:
        with context.wrap_socket(connection, server_side=True) as secure:
            resumed.append(secure.session_reused)
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += secure.recv(4096)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            secure.unwrap()
    except OSError:
        pass  # the client closed first


def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
url = f"https://localhost:{listener.getsockname()[1]}/"


def by_requests():
    with requests.Session() as session:
        session.verify = ca_file
        for _ in range(REQUESTS):
            assert session.get(url, timeout=20).content == b"ok"


def by_httpx():
    with httpx.Client(verify=ssl.create_default_context(cafile=ca_file)) as client:
        for _ in range(REQUESTS):
            assert client.get(url).content == b"ok"


def by_aiohttp():
    async def run():
        connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
        async with aiohttp.ClientSession(connector=connector) as session:
            for _ in range(REQUESTS):
                async with session.get(url) as response:
                    assert await response.read() == b"ok"

    asyncio.run(run())


def by_obstore():
    store = HTTPStore(url, client_options={"allow_invalid_certificates": True})
    for number in range(REQUESTS):
        assert bytes(store.get(str(number)).bytes()) == b"ok"


def by_pycurl():
    handle = pycurl.Curl()
    handle.setopt(pycurl.CAINFO, ca_file)
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.TIMEOUT, 20)
    for _ in range(REQUESTS):
        assert handle.perform_rb() == b"ok"


found = []
for run in (by_requests, by_httpx, by_aiohttp, by_obstore, by_pycurl):
    resumed.clear()
    run()
    assert len(resumed) == REQUESTS, resumed
    found.append(sum(resumed[1:]))
    print(f"{run.__name__[3:]}: {found[-1]} of {REQUESTS - 1} further connections resumed")
sys.exit(found[:3] != [0, 0, 0] or not all(found[3:]))
PYTHON
