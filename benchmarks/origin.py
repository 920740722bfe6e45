"""A fast image origin: nginx as a child process on the loopback address, optionally behind delays."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Self

from benchmarks.cases import FAR, MIXED, NEAR
from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports

LATENCY = 50
"""Milliseconds by which the distant origin is delayed."""

MIXED_LATENCIES = {"127.0.0.2": 20, "127.0.0.3": 200, "127.0.0.4": 2_000}
"""Milliseconds by which the hosts of the mixed origins are delayed, by address. Linux has all of these addresses."""

LOOPBACK = "127.0.0.0/8"
"""The network of all origins."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# `/small/<any number>/7.jpg` serves the file small/7.jpg, so that there is any number of different URLs.
_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  keepalive_timeout 120s;
  open_file_cache max=1000 inactive=600s;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  types {{ image/jpeg jpg; image/png png; image/webp webp; }}
  server {{
    listen {host}:{port} backlog=4096;
    root {corpus};
    location = /requests {{ stub_status; }}
    location / {{ rewrite ^/([a-z]+)/[0-9]+/(.*)$ /$1/$2 break; }}
  }}
}}
"""


class Nginx:
    """Serves a folder of pictures during a `with` block.

    Raises:
        RuntimeError: nginx is not installed, or does not start.
    """

    def __init__(self, folder: Path, corpus: Path) -> None:
        self._folder = folder
        self._corpus = corpus
        self._children: list[subprocess.Popen[bytes]] = []
        self._port, self._delayed_port = free_ports(2)
        self._delayed: set[str] = set()

    def bases(self, origin: str = NEAR) -> list[str]:
        """Return the base URLs of an origin: one, or those of three hosts if it is `MIXED`."""
        if origin == NEAR:
            return [f"http://{HOST}:{self._port}"]
        delays = {FAR: {HOST: LATENCY}, MIXED: MIXED_LATENCIES}[origin]
        for address, milliseconds in delays.items():
            self._start_delay(address, milliseconds)
        return [f"http://{address}:{self._delayed_port}" for address in delays]

    def requests(self) -> int:
        """Return the number of requests so far, without those of this method."""
        with _direct.open(f"{self.bases()[0]}/requests", timeout=5) as response:
            counts = response.read().decode().splitlines()[2].split()
        self._own_requests += 1
        return int(counts[2]) - self._own_requests

    def __enter__(self) -> Self:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("nginx is not installed; on Debian: apt-get install nginx-light")
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        config = self._folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self._folder, corpus=self._corpus, host=HOST, port=self._port))
        self._own_requests = 0
        self._start([program, "-e", str(self._folder / "error.log"), "-c", str(config)], HOST, self._port)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._children:
            child.stop(process, seconds=5)

    def _start_delay(self, address: str, milliseconds: int) -> None:
        if address not in self._delayed:
            proxy = [sys.executable, "-m", "benchmarks.delay", self._delayed_port, self._port, milliseconds, address]
            self._start([str(part) for part in proxy], address, self._delayed_port)
            self._delayed.add(address)

    def _start(self, command: list[str], address: str, port: int) -> None:
        process = child.start(command, environment=os.environ, death_signal=signal.SIGTERM)
        self._children.append(process)
        until = time.monotonic() + 10
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((address, port)) == 0:
                    return
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"{command[0]} did not start; see {self._folder}/error.log")
