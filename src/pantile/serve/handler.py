"""HTTP: which address is answered how. One thread reads and answers all requests of a connection.

::

    GET  /            the page
    GET  /model       classes, thresholds and limits
    GET  /health      {"status": "ok"}
    GET  /metrics     counts, for Prometheus
    POST /predict     an image file; ?answer=json|png|overlay, ?name=, ?keep=1 and thresholds
    POST /merge/KEY   the image of a ``keep=1`` again, with other thresholds

Whatever goes wrong is answered as {"error": SENTENCE}.
"""

import io
import socket
import sys
import time
import traceback
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from pantile.contracts.errors import UserError
from pantile.serve.answers import Answer, json_answer
from pantile.serve.limits import Refused
from pantile.serve.service import Service
from pantile.serve.timed_reader import TimedReader
from pantile.serve.upload import announced_length, image_name, received

if TYPE_CHECKING:
    from pantile.serve.server import Server

_LINGERING = 2.0  # seconds in which a client that is refused may still send, to read why

#: what is only looked at
_PAGES: dict[str, Callable[[Service], Answer]] = {
    "/": lambda service: Answer("text/html; charset=utf-8", files(__package__).joinpath("page.html").read_bytes()),
    "/model": lambda service: json_answer(service.describe()),
    "/health": lambda service: json_answer({"status": "ok"}),
    "/metrics": lambda service: Answer("text/plain; version=0.0.4; charset=utf-8", service.numbers().encode()),
}
_ROUTES = (*_PAGES, "/predict", "/merge")


class Handler(BaseHTTPRequestHandler):
    server: "Server"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer are two writes

    def setup(self) -> None:
        super().setup()
        self.timed = TimedReader(self.connection)
        self.rfile = io.BufferedReader(self.timed, 2**16)

    def version_string(self) -> str:
        return "pantile"

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.timed.deadline = time.monotonic() + self.server.service.limits.idle
        with self.server.idle(self.connection):
            try:
                arrived = bool(self.rfile.peek(1))
            except OSError:  # nothing came, or the other side is gone
                return
        if arrived:
            self._one_request()

    def _one_request(self) -> None:
        self.started, self.unread = time.monotonic(), 0
        self.timed.deadline = self.started + self.server.service.limits.receive
        try:
            self.raw_requestline = self.rfile.readline(2**16 + 1)
            if len(self.raw_requestline) > 2**16:
                self.command = self.requestline = self.request_version = ""
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            elif self.parse_request():
                self._answer_request()
        except TimeoutError:
            self._refuse(408, "The request was not here in time: send it again.")
        except ConnectionError:  # nobody is there to be answered
            self.close_connection = True

    def _answer_request(self) -> None:
        address = urlsplit(self.path)
        try:
            self._send(200, self._answer(address.path, dict(parse_qsl(address.query, keep_blank_values=True))))
        except Refused as error:
            self._refuse(error.status, str(error))
        except UserError as error:
            self._refuse(400, str(error))
        except (TimeoutError, ConnectionError):  # while the request is read
            raise
        except Exception:  # a fault of ours ends this request, not the server
            traceback.print_exc(file=sys.stderr)
            self._refuse(500, "The server failed on this request; its log says how.")

    def _answer(self, path: str, options: dict[str, str]) -> Answer:
        service, sends = self.server.service, self.command in ("POST", "PUT")
        self.unread = 1
        if sends and path == "/predict":
            length = announced_length(self.headers, service.limits)
            name = image_name(options.pop("name", "image"))
            with received(self.rfile, length) as file:
                self.unread = 0
                return service.predict(file, name, options)
        self._skip_body()
        if sends and path.startswith("/merge/"):
            return service.merge_again(path.removeprefix("/merge/"), options)
        if path not in _ROUTES and not path.startswith("/merge/"):
            raise Refused(404, "There is nothing at this address: images go to /predict, and the page is at /.")
        if sends or path not in _PAGES:
            raise Refused(405, f"{self.command} is not what this address takes: see the page at /.")
        return _PAGES[path](service)

    do_GET = do_HEAD = do_POST = do_PUT = _answer_request

    def _skip_body(self) -> None:
        """Of a request that needs none."""
        text = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not text.isdecimal() or int(text) > 2**16:
            raise Refused(413, "This address takes no body: leave it out.")
        self.rfile.read(int(text))
        self.unread = 0

    def handle_expect_100(self) -> bool:
        """A client with much to send asks first."""
        try:
            announced_length(self.headers, self.server.service.limits)
        except Refused as error:
            self.unread = 1
            self._refuse(error.status, str(error))
            return False
        return super().handle_expect_100()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the HTTP parser cannot read."""
        status = HTTPStatus(code)
        self.unread = 1
        self._refuse(code, f"{message or status.phrase}: send a request of HTTP/1.1.")

    def _refuse(self, status: int, sentence: str) -> None:
        self._send(status, json_answer({"error": sentence}))

    def _send(self, status: int, answer: Answer) -> None:
        if status == 408 or self.unread or self.server.ending:
            self.close_connection = True
        route = "/" + urlsplit(getattr(self, "path", "")).path[1:].partition("/")[0]
        seconds = time.monotonic() - self.started
        self.server.service.metrics.answered(route if route in _ROUTES else "other", status, seconds)
        self.connection.settimeout(self.server.service.limits.receive)
        try:
            self._write(status, answer)
        except OSError:  # nobody takes the answer
            self.close_connection = True
        if self.unread:
            self._linger()

    def _write(self, status: int, answer: Answer) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if status == 503:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _linger(self) -> None:
        """Takes what is still being sent: closing on it would take the answer from the client."""
        self.timed.deadline = time.monotonic() + _LINGERING
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while self.timed.readinto(bytearray(2**16)):
                pass
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """No line for each request: ``/metrics`` counts them."""
