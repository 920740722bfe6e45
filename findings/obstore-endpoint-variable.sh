#!/usr/bin/env bash
# obstore 0.12.1: the variable AWS_ENDPOINT_URL_S3 wins over the endpoint that a program passes to S3Store.
#
# Settings in code usually win over the environment, and so they do here for AWS_ENDPOINT_URL. But the variable for S3
# alone fills another setting, `aws_endpoint_url_s3`, which has precedence over `endpoint`. So a program that computes its
# endpoint, for instance with the bucket in the host name, sends its requests elsewhere as soon as its user sets the
# variable; with virtual-hosted style the bucket is then missing from the request altogether. Passing the endpoint as
# `aws_endpoint_url_s3` wins over both variables.
#
# Seen with obstore 0.12.1 (object_store 0.14.2), Python 3.11:
#
#   AWS_ENDPOINT_URL set, endpoint passed: the endpoint of the code
#   AWS_ENDPOINT_URL_S3 set, endpoint passed: the endpoint of the variable
#   AWS_ENDPOINT_URL_S3 set, aws_endpoint_url_s3 passed: the endpoint of the code
#
# Exits with 0 while this holds, and with 1 once it changes.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check obstore==0.12.1
"$folder/venv/bin/python" - <<'PYTHON'
import os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from obstore.store import S3Store

for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
    del os.environ[name]


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked += 1
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.end_headers()

    def log_message(self, *_):
        pass


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


def answered(variable, setting):
    """Who gets the request, with an endpoint in this variable and another one in this setting."""
    (code, code_url), (environment, environment_url) = serve(), serve()
    os.environ[variable] = environment_url
    config = {setting: code_url, "region": "us-east-1", "access_key_id": "k", "secret_access_key": "s"}
    S3Store("images", config=config, client_options={"allow_http": True}).put("a", b"1", use_multipart=False)
    del os.environ[variable]
    found = "code" if code.asked else "variable" if environment.asked else "nobody"
    print(f"{variable} set, {setting} passed: the endpoint of the {found}")
    return found


found = [
    answered("AWS_ENDPOINT_URL", "endpoint"),
    answered("AWS_ENDPOINT_URL_S3", "endpoint"),
    answered("AWS_ENDPOINT_URL_S3", "aws_endpoint_url_s3"),
]
sys.exit(found != ["code", "variable", "code"])
PYTHON
