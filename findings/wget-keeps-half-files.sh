#!/usr/bin/env bash
# wget 1.21.3: `wget -N` takes the half of a picture that an earlier run left for the newest version, for ever.
#
# The manual says that -N compares sizes as well as times, and fetches a file again if its size differs. That was so
# when it asked by HEAD first. Since 1.17 it sends If-Modified-Since with the time of the local file, and a 304 has no
# size to compare. A file gets the server's time only when it is complete. So what a stopped container, a killed job or
# a broken connection leaves has the time of the failure, which is later than the server's: each later run is told "not
# modified", keeps the half file and exits with 0. With `--input-file` and thousands of URLs nothing shows which files
# these are. What works: `--no-if-modified-since`, which asks by HEAD as before.
#
# Seen with wget 1.21.3 of Debian 12, Python 3.11 (a picture of 400,000 bytes, changed on the server two years ago):
#
#   killed at half of it: 200000 bytes left; the next run exits with 0, 200000 bytes stand there
#   connection lost at half of it: 200000 bytes left; the next run exits with 0, 200000 bytes stand there
#   and then with --no-if-modified-since: exits with 0, 400000 bytes stand there
#
# Exits with 0 while this holds, and with 1 once the file is fetched again. Needs wget (not wget2).
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
wget --version | head -n 1
cd "$folder"
python3 - <<'PYTHON'
import http.server, os, subprocess, sys, threading
from email.utils import formatdate, parsedate_to_datetime
from time import time

PICTURE = b"\xff\xd8" + bytes(399_998)
CHANGED = formatdate(time() - 2 * 365 * 86_400, usegmt=True)
half, killed = threading.Event(), threading.Event()


class Origin(http.server.BaseHTTPRequestHandler):
    first = {"/killed.jpg", "/lost.jpg"}

    def do_HEAD(self):
        since = self.headers.get("If-Modified-Since")
        if since and parsedate_to_datetime(since) >= parsedate_to_datetime(CHANGED):
            self.send_response(304)
            self.end_headers()
            return False
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(PICTURE)))
        self.send_header("Last-Modified", CHANGED)
        self.end_headers()
        return True

    def do_GET(self):
        if not self.do_HEAD():
            return
        if self.path not in self.first:
            self.wfile.write(PICTURE)
            return
        self.first.remove(self.path)
        self.wfile.write(PICTURE[:200_000])
        if self.path == "/killed.jpg":
            half.set()
            killed.wait(30)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
threading.Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"


def command(name, *options):
    return ["wget", "--no-config", "--quiet", "--no-proxy", "--tries=1", "-N", *options, f"{origin}/{name}"]


def size(name):
    return os.stat(name).st_size


process = subprocess.Popen(command("killed.jpg"))
half.wait(30)
for _ in range(300):
    if os.path.exists("killed.jpg") and size("killed.jpg") == 200_000:
        break
    threading.Event().wait(0.1)
process.terminate()
process.wait()
killed.set()
subprocess.run(command("lost.jpg"))
found = []
for name, what in (("killed.jpg", "killed"), ("lost.jpg", "connection lost")):
    left = size(name)
    code = subprocess.run(command(name)).returncode
    found.append((left, code, size(name)))
    print(f"{what} at half of it: {left} bytes left; the next run exits with {code}, {size(name)} bytes stand there")
code = subprocess.run(command("lost.jpg", "--no-if-modified-since")).returncode
print(f"and then with --no-if-modified-since: exits with {code}, {size('lost.jpg')} bytes stand there")
sys.exit(found != [(200_000, 0, 200_000)] * 2 or (code, size("lost.jpg")) != (0, len(PICTURE)))
PYTHON
