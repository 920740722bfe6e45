"""A webhook: a real HTTP server that keeps what is posted to it and gives the answers that the test chose."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SECRET = "T0k3n-in-the-path"


class Webhook:
    """Keeps posted JSON in `posts`.

    Args:
        answers: given one after another, the last one from then on: a status, or `drip` for an endless header.
    """

    def __init__(self, *answers: int | str) -> None:
        self.posts: list[dict[str, Any]] = []
        self.answers = list(answers) or [200]
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
                if answer == "drip":
                    self._drip()
                else:
                    self.send_response(int(answer))
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def _drip(self) -> None:
                """Send one byte of a header every 0.2 seconds without end."""
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not hook.over.wait(0.2):
                    self.wfile.write(b"x")
                    self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Write no log."""

        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Its URL, which contains secrets."""
        return f"http://user:{SECRET}@127.0.0.1:{self._server.server_port}/hooks/{SECRET}?token={SECRET}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
