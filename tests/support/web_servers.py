"""nginx, HAProxy and squid as origins and proxies, each a child process on the loopback address.

They are optional: a test that needs one is skipped where it is not installed.
"""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from imgrelay_dagster.demo import child
from imgrelay_dagster.demo.ports import HOST, free_ports
from tests.support.command import until

NGINX = """
daemon off;
worker_processes 1;
user root;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/tmp; proxy_temp_path {folder}/tmp; fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp; scgi_temp_path {folder}/tmp;
  types {{ image/jpeg jpg; }}
  limit_req_zone $binary_remote_addr zone=rate:1m rate=20r/s;
  limit_conn_zone $binary_remote_addr zone=connections:1m;
  server {{
    listen {host}:{port};
    root {root};
    keepalive_requests 5;
    location /rate/ {{ limit_req zone=rate burst=5 nodelay; alias {root}/; }}
    location /delayed/ {{ limit_req zone=rate burst=100; alias {root}/; }}
    location /connections/ {{ limit_conn connections 2; limit_rate 40k; alias {root}/; }}
    location /packed/ {{ gzip on; gzip_types image/jpeg; gzip_min_length 0; gzip_vary on; alias {root}/; }}
    location /stored/ {{ gzip_static always; alias {root}/; }}
    location /silent/ {{ return 444; }}
    location /moved/ {{ return 302 /plain/picture.jpg?from=$uri; }}
    location /plain/ {{ alias {root}/; }}
  }}
}}
"""

SQUID = """
http_port {host}:{port}
pid_filename {folder}/squid.pid
cache_log {folder}/cache.log
access_log stdio:{folder}/access.log
cache_mem 8 MB
maximum_object_size_in_memory 1 MB
visible_hostname proxy.test
coredump_dir {folder}
acl loopback dst 127.0.0.1
http_access allow loopback
http_access deny all
shutdown_lifetime 0 seconds
"""

HAPROXY = """
global
  maxconn 200
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend images
  bind {host}:{port}
  stick-table type ip size 1k expire 30s store http_req_rate(1s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 20 }} {{ path_beg /rate/ }}
  http-request reject if {{ path_beg /reset/ }}
  http-request set-path /plain/picture.jpg
  default_backend origin
backend origin
  server only {origin}
"""


def program(name: str) -> str:
    """The path of a server's program; skips the test if it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"needs {name}, an optional test origin")
    return found


@contextmanager
def nginx(folder: Path, root: Path) -> Iterator[str]:
    """Serve the folder `root` with nginx, by rules that depend on the path; yields the address `host:port`."""
    (folder / "tmp").mkdir(parents=True)
    (port,) = free_ports(1)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, root=root, host=HOST, port=port))
    with _running([program("nginx"), "-c", str(config), "-e", str(folder / "error.log")], port, folder):
        yield f"{HOST}:{port}"


@contextmanager
def squid() -> Iterator[tuple[str, Path]]:
    """Run squid as a forward proxy with a cache in memory; yields its address and its access log.

    It gives up root's rights, and the folders of pytest are closed to others, so it has a folder of its own.
    """
    with TemporaryDirectory(prefix="imgrelay-squid-") as scratch:
        folder = Path(scratch)
        folder.chmod(0o777)
        (port,) = free_ports(1)
        config = folder / "squid.conf"
        config.write_text(SQUID.format(folder=folder, host=HOST, port=port))
        with _running([program("squid"), "-N", "-f", str(config)], port, folder):
            yield f"{HOST}:{port}", folder / "access.log"


@contextmanager
def haproxy(folder: Path, origin: str) -> Iterator[str]:
    """Run HAProxy in front of an origin; yields its address."""
    folder.mkdir()
    (port,) = free_ports(1)
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(host=HOST, port=port, origin=origin))
    with _running([program("haproxy"), "-db", "-f", str(config)], port, folder):
        yield f"{HOST}:{port}"


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / "output").open("wb") as output:
        process = child.start(command, environment=dict(os.environ), death_signal=signal.SIGTERM, output=output)
        try:
            until(lambda: process.poll() is not None or _accepts(port), 30, f"{command[0]} accepts connections")
            assert process.poll() is None, (folder / "output").read_text()
            yield
        finally:
            child.stop(process, seconds=10)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
