"""The sockets of the server: one thread for each connection, not more than allowed, and an end that finishes them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from socketserver import TCPServer

from pantile.contracts.errors import UserError
from pantile.serve.handler import Handler
from pantile.serve.service import Service

_FULL = b'{"error": "The server has as many connections as it may: try again in a moment."}'
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_FULL), _FULL)
)


class Server(ThreadingHTTPServer):
    """
    Args:
        host, port: to listen at; port 0 is any that is free.
        service: what answers.

    Attributes:
        ending: connections are closed after the request that they are at.

    Raises:
        UserError: the port is taken, or the host is none of this machine.
    """

    daemon_threads = True
    block_on_close = False  # ``end`` waits, not without limit
    request_queue_size = 128

    def __init__(self, host: str, port: int, service: Service) -> None:
        self.service, self.ending = service, False
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._idle: set[socket.socket] = set()
        self._connections = 0
        self._changed = threading.Condition()
        try:
            super().__init__((host, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"{host}, port {port}: {reason}; name others with --host and --port.") from None

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # without the base class's question for the host's name, which may take long

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"

    def process_request(self, request: socket.socket, client_address: tuple) -> None:
        with self._changed:
            full = self._connections >= self.service.limits.connections
            self._connections += not full
        if not full:
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.settimeout(1)
            request.sendall(_TURNED_AWAY)
        self.shutdown_request(request)

    def process_request_thread(self, request: socket.socket, client_address: tuple) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connections -= 1
                self._changed.notify_all()

    @contextmanager
    def idle(self, connection: socket.socket) -> Iterator[None]:
        """While the block runs, the connection has no request that ``end`` should wait for."""
        with self._changed:
            self._idle.add(connection)
            if self.ending:
                _read_no_more(connection)
        try:
            yield
        finally:
            with self._changed:
                self._idle.discard(connection)

    def end(self, grace: float) -> bool:
        """Takes no more connections and finishes requests that have come; not from the thread of ``serve_forever``.

        Args:
            grace: seconds to wait for them.

        Returns:
            Whether all were finished.
        """
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + grace
        with self._changed:
            self.ending = True
            for connection in self._idle:
                _read_no_more(connection)
            while self._connections:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    return False
        self.service.end()
        return True


def _read_no_more(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
