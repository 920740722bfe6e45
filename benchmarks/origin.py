"""A fast image origin: nginx as a child process on the loopback address, and a slow way to it."""

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

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports

LATENCY = 50
"""Milliseconds that the slow way takes."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# `/small/<any number>/7.jpg` is the file small/7.jpg: as many different URLs as wanted.
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
    """Serves a folder of pictures between `with` and its end.

    Raises:
        RuntimeError: nginx is not installed, or does not start.
    """

    def __init__(self, folder: Path, corpus: Path) -> None:
        self._folder = folder
        self._corpus = corpus
        self._children: list[subprocess.Popen[bytes]] = []
        self._port, self._slow_port = free_ports(2)

    def base(self, *, slow: bool = False) -> str:
        """Where it is reached, `slow` with `LATENCY` in front of every answer."""
        return f"http://{HOST}:{self._slow_port if slow else self._port}"

    def requests(self) -> int:
        """Requests it has had; these questions are not counted."""
        with _direct.open(f"{self.base()}/requests", timeout=5) as answer:
            counts = answer.read().decode().splitlines()[2].split()
        self._asked += 1
        return int(counts[2]) - self._asked

    def __enter__(self) -> Self:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("nginx is not installed; on Debian: apt-get install nginx-light")
        (self._folder / "tmp").mkdir(parents=True, exist_ok=True)
        config = self._folder / "nginx.conf"
        config.write_text(_CONFIG.format(folder=self._folder, corpus=self._corpus, host=HOST, port=self._port))
        self._asked = 0
        self._start([program, "-e", str(self._folder / "error.log"), "-c", str(config)], self._port)
        slow = [sys.executable, "-m", "benchmarks.delay", self._slow_port, self._port, LATENCY]
        self._start([str(word) for word in slow], self._slow_port)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._children:
            child.stop(process, seconds=5)

    def _start(self, command: list[str], port: int) -> None:
        process = child.start(command, environment=os.environ, death_signal=signal.SIGTERM)
        self._children.append(process)
        until = time.monotonic() + 10
        while time.monotonic() < until and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"{command[0]} does not start; see {self._folder}/error.log")
