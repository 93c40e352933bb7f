"""A server that answers once, whatever it is asked, and hangs up."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ports import HOST

__all__ = ["answering"]


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Listen, give the next client these bytes, and close; yields host and port."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{HOST}:{server.getsockname()[1]}"
        thread.join(timeout=10)
