"""An S3 server on 127.0.0.1 that only lists a bucket, with keys that other servers would not store."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from imgrelay_dagster.demo.ports import HOST

_ITEM = """<Contents><Key>{key}</Key><LastModified>2026-11-23T06:00:00.000Z</LastModified>
<ETag>&quot;{number:032x}&quot;</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"""
_LIST = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<IsTruncated>false</IsTruncated>{encoding}{items}</ListBucketResult>"""


class ListedBucket:
    """Serves a bucket with these keys, whatever its name, while the block runs."""

    def __init__(self, keys: list[str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                prefix, encoded = asked.get("prefix", [""])[0], "encoding-type" in asked
                items = [
                    _ITEM.format(key=quote(key) if encoded else escape(key), number=number)
                    for number, key in enumerate(keys)
                    if key.startswith(prefix)
                ]
                encoding = "<EncodingType>url</EncodingType>" if encoded else ""
                body = _LIST.format(encoding=encoding, items="".join(items)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
