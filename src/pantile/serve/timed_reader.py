"""Reading from a connection until a point in time, however slowly the other side sends."""

import io
import socket
import time


class TimedReader(io.RawIOBase):
    """A socket's ``read`` side.

    Attributes:
        deadline: by ``time.monotonic``; reading raises ``TimeoutError`` from then on. A time limit of the socket itself
            would begin anew with every byte.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.deadline = float("inf")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request is not here in time")
        self.connection.settimeout(min(left, 2**20))
        return self.connection.recv_into(buffer)
