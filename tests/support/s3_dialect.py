"""An S3 server with the deviations of S3-compatible stores, on 127.0.0.1 in front of a real one.

    with S3Dialect(seaweed, no_ranges=True) as store:
        open_store("s3://bucket", store.settings())

What the real server would do otherwise is done by a client of its own, because the signature covers the headers.
"""

import http.client
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import unquote, urlsplit

from imgrelay_dagster.demo.seaweed import SeaweedFS
from imgrelay_dagster.relay.storage.s3_settings import S3Settings
from tests.support.local_server import LocalServer


@dataclass
class S3Dialect(LocalServer):
    """The server.

    Attributes:
        no_checksums: status with which requests with a checksum header are refused; 0 accepts them.
        no_ranges: the whole object is sent, with status 200.
        no_conditions: a write with a condition replaces the object.
        no_bulk_delete: deleting several objects by one request is not implemented.
        no_listing: status and error code with which listings are refused.
        elsewhere: the bucket's region, which is another one; requests are redirected without a location.
        acl: the ACL that every object must be written with.
        refused_header: writes with this header are forbidden.
        seen: requests by method.
    """

    server: SeaweedFS
    no_checksums: int = 0
    no_ranges: bool = False
    no_conditions: bool = False
    no_bulk_delete: bool = False
    no_listing: tuple[int, str] | None = None
    elsewhere: str | None = None
    acl: str | None = None
    refused_header: str | None = None
    seen: Counter[str] = field(default_factory=Counter)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        return type("Handler", (_Handler,), {"dialect": self, "client": self.server.client()})

    def settings(self) -> S3Settings:
        return S3Settings(self.endpoint, "us-east-1", self.server.access_key, self.server.secret_key)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    dialect: S3Dialect
    client: object

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        dialect, body = self.dialect, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dialect.seen[self.command] += 1
        named = {name.lower() for name in self.headers}
        is_write = self.command in ("PUT", "POST")
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        if dialect.elsewhere is not None:
            self._answer(301, _error("PermanentRedirect"), [("x-amz-bucket-region", dialect.elsewhere)])
        elif dialect.no_checksums and any(name.startswith("x-amz-checksum") for name in named):
            self._answer(dialect.no_checksums, _error("InvalidArgument", "Unsupported header 'x-amz-checksum-sha256'"))
        elif dialect.acl and is_write and "delete" not in parts.query and self.headers["x-amz-acl"] != dialect.acl:
            self._answer(403, _error("AccessDenied"))
        elif is_write and dialect.refused_header in named:
            self._answer(403, _error("AccessDenied", f"{dialect.refused_header} is not allowed"))
        elif dialect.no_bulk_delete and self.command == "POST" and "delete" in parts.query:
            self._answer(501, _error("NotImplemented"))
        elif dialect.no_listing and self.command == "GET" and "list-type=2" in parts.query:
            self._answer(dialect.no_listing[0], _error(dialect.no_listing[1]))
        elif dialect.no_ranges and "range" in named:
            found = self.client.get_object(Bucket=bucket, Key=key)
            self._answer(200, found["Body"].read(), [("ETag", found["ETag"]), _last_modified(found)])
        elif dialect.no_conditions and "if-none-match" in named:
            self.client.put_object(Bucket=bucket, Key=key, Body=body)
            self._answer(200, b"", [("ETag", '"x"')])
        else:
            self._pass_on(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _pass_on(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.dialect.server.endpoint).netloc, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
            kept = [pair for pair in answer.getheaders() if pair[0].lower() not in ("connection", "transfer-encoding")]
            self._answer(answer.status, data, kept)
        finally:
            connection.close()

    def _answer(self, status: int, data: bytes, headers: list[tuple[str, str]] = ()) -> None:  # type: ignore[assignment]
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _last_modified(found: dict) -> tuple[str, str]:
    return "Last-Modified", found["ResponseMetadata"]["HTTPHeaders"]["last-modified"]


def _error(code: str, message: str = "no") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    )
