"""A stand-in for Google Cloud Storage on 127.0.0.1: its XML API, as far as obstore uses it, in this process's memory.

    with GoogleStore("images") as store:
        os.environ.update(store.environment())

Written after "XML API overview" of Google Cloud Storage: preconditions by `x-goog-if-generation-match`, metadata by
`x-goog-meta-*`, 404 for an object that is missing, also where it is to be deleted, and listings in the order of UTF-8.
"""

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.local_server import LocalServer

TOKEN = "token-of-the-tests"
KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language")


@dataclass
class StoredObject:
    """An object: its bytes, its generation, and the headers that it was stored with."""

    data: bytes
    generation: int
    headers: dict[str, str]
    modified: str

    @property
    def e_tag(self) -> str:
        return f'"{hashlib.md5(self.data, usedforsecurity=False).hexdigest()}"'


@dataclass
class GoogleStore(LocalServer):
    """The server of one bucket. `requests` counts them by method."""

    bucket: str
    objects: dict[str, StoredObject] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        self.lock = threading.Lock()
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = {}
        self.generation = 1_000
        return type("Handler", (_Handler,), {"store": self})

    def environment(self) -> dict[str, str]:
        """The variables that lead a client here, and to no metadata service."""
        return {"GOOGLE_BASE_URL": self.endpoint, "GOOGLE_BEARER_TOKEN": TOKEN}

    def put(self, key: str, data: bytes, headers: dict[str, str]) -> StoredObject:
        with self.lock:
            self.generation += 1
            stored = StoredObject(data, self.generation, headers, formatdate(usegmt=True))
            self.objects[key] = stored
            return stored


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: GoogleStore

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _handle(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        with self.store.lock:
            self.store.requests[self.command] = self.store.requests.get(self.command, 0) + 1
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._error(401, "AuthenticationRequired")
        elif bucket != self.store.bucket:
            self._error(404, "NoSuchBucket")
        elif not key:
            self._list(query)
        else:
            getattr(self, f"_{self.command.lower()}")(key, query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _kept_headers(self) -> dict[str, str]:
        named = {name.lower(): value for name, value in self.headers.items()}
        return {name: value for name, value in named.items() if name in KEPT or name.startswith("x-goog-meta-")} | {
            name: value for name, value in named.items() if name in ("x-goog-acl", "x-goog-storage-class")
        }

    def _put(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "partNumber" in query:
            self.store.uploads[query["uploadId"]][2][int(query["partNumber"])] = body
            self._answer(200, headers={"ETag": f'"{len(body)}"'})
            return
        wanted = self.headers.get("x-goog-if-generation-match")
        found = self.store.objects.get(key)
        if wanted is not None and int(wanted) != (found.generation if found else 0):
            self._error(412, "PreconditionFailed")
            return
        stored = self.store.put(key, body, self._kept_headers())
        self._answer(200, headers={"ETag": stored.e_tag, "x-goog-generation": str(stored.generation)})

    def _post(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "uploads" in query:
            upload = hashlib.md5(f"{key}{self.store.generation}".encode(), usedforsecurity=False).hexdigest()
            self.store.uploads[upload] = (key, self._kept_headers(), {})
            self._xml(f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>")
            return
        _, headers, parts = self.store.uploads.pop(query["uploadId"])
        stored = self.store.put(key, b"".join(parts[number] for number in sorted(parts)), headers)
        self._xml(
            f"<CompleteMultipartUploadResult><ETag>{escape(stored.e_tag)}</ETag></CompleteMultipartUploadResult>",
            {"x-goog-generation": str(stored.generation)},
        )

    def _get(self, key: str, query: dict[str, str], body: bytes) -> None:
        found = self.store.objects.get(key)
        if found is None:
            self._error(404, "NoSuchKey")
            return
        headers = {**found.headers, "ETag": found.e_tag, "Last-Modified": found.modified}
        headers["x-goog-generation"] = str(found.generation)
        data, status = found.data, 200
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
            if start >= len(data):
                self._error(416, "InvalidRange")
                return
            headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
            data, status = data[start : end + 1], 206
        self._answer(status, data, headers)

    _head = _get

    def _delete(self, key: str, query: dict[str, str], body: bytes) -> None:
        with self.store.lock:
            found = self.store.objects.pop(key, None)
        if found is None:
            self._error(404, "NoSuchKey")
        else:
            self._answer(204)

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after") or ""
        limit = int(query.get("max-keys", 1_000))
        shown = quote if query.get("encoding-type") == "url" else escape
        with self.store.lock:
            keys = sorted((key for key in self.store.objects if key.startswith(prefix)), key=str.encode)
        entries: list[str] = []
        folders: list[str] = []
        last = ""
        for key in keys:
            if key.encode() <= after.encode() or (folders and key.startswith(folders[-1])):
                continue
            if len(entries) + len(folders) == limit:
                break
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.append(prefix + rest.partition(delimiter)[0] + delimiter)
                last = folders[-1] + "\U0010ffff"
                continue
            last = key
            stored = self.store.objects.get(key)
            if stored is not None:
                entries.append(
                    f"<Contents><Key>{shown(key)}</Key><Generation>{stored.generation}</Generation>"
                    f"<LastModified>{_iso(stored.modified)}</LastModified><ETag>{escape(stored.e_tag)}</ETag>"
                    f"<Size>{len(stored.data)}</Size></Contents>"
                )
        else:
            last = ""
        more = f"<NextContinuationToken>{shown(last)}</NextContinuationToken>" if last else ""
        prefixes = "".join(f"<CommonPrefixes><Prefix>{shown(name)}</Prefix></CommonPrefixes>" for name in folders)
        self._xml(
            f"<ListBucketResult><Name>{self.store.bucket}</Name><IsTruncated>{str(bool(last)).lower()}</IsTruncated>"
            f"{more}{''.join(entries)}{prefixes}</ListBucketResult>"
        )

    def _xml(self, content: str, headers: dict[str, str] | None = None) -> None:
        data = f'<?xml version="1.0" encoding="UTF-8"?>{content}'.encode()
        self._answer(200, data, {"Content-Type": "application/xml", **(headers or {})})

    def _error(self, status: int, code: str) -> None:
        data = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self._answer(status, data, {"Content-Type": "application/xml"})

    def _answer(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value if value.isascii() else quote(value))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _iso(text: str) -> str:
    return parsedate_to_datetime(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
