"""A real HTTP endpoint that embeds, and misbehaves as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.embedkit import hash_vector


@dataclass(frozen=True)
class Request:
    """What was asked."""

    texts: list[str]
    headers: Mapping[str, str]


Answer = tuple[int, bytes]


def right_answer(request: Request) -> Answer:
    """Answer as the contract says."""
    if not request.texts:
        return 400, json.dumps({"detail": "texts empty"}).encode()
    return embeddings([hash_vector(text).tolist() for text in request.texts])


def embeddings(rows: Any, model: str = "hash-of-a-test") -> Answer:
    """Return an answer with these vectors."""
    return 200, json.dumps({"embeddings": rows, "model": model}).encode()


@dataclass
class Endpoint:
    """The endpoint, running.

    Attributes:
        answer: what is answered to a request.
        requests: that were made, in order.
        released: until it is set, requests for which `holds` is true get no answer.
    """

    address: str = ""
    answer: Callable[[Request], Answer] = right_answer
    requests: list[Request] = field(default_factory=list)
    holds: Callable[[Request], bool] = lambda _: False
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, user: str = "") -> str:
        """Return its URL."""
        return f"http://{user}{self.address}/model/embed"


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Run an endpoint on a free port of this machine."""
    found = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(json.loads(body)["texts"], {name.lower(): value for name, value in self.headers.items()})
            found.requests.append(request)
            if found.holds(request):
                found.released.wait(30)
            status, content = found.answer(request)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            if status == 307:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
