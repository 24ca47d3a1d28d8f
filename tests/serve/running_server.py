"""A server on a free port of this machine for a block, and requests to it."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pantile.predict.protocol import ImagePredictor
from pantile.serve.limits import Limits
from pantile.serve.server import Server
from pantile.serve.service import Service


@contextmanager
def running(predictor: ImagePredictor, **limits: float) -> Iterator[Server]:
    server = Server("127.0.0.1", 0, Service(predictor, Limits(**limits)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        if not server.ending:
            server.end(5)
        thread.join()


def connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(*server.server_address[:2], timeout=20)


def request(server: Server, path: str, body: bytes | None = None, method: str | None = None, **headers: str):
    """Status, the headers, and the body, read as JSON where it is."""
    connection = connect(server)
    try:
        connection.request(method or ("GET" if body is None else "POST"), path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    is_json = answer.headers["Content-Type"] == "application/json" and content
    return answer.status, answer.headers, json.loads(content) if is_json else content


def refused(server: Server, status: int, path: str, body: bytes | None = None, **rest: str) -> str:
    """The sentence of a request that is refused."""
    found, _, content = request(server, path, body, **rest)
    assert found == status, content
    (sentence,) = content.values()
    assert sentence.endswith(".") and "\n" not in sentence and "/tmp" not in sentence
    return sentence
