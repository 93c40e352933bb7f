"""What the admin server of a gate on this machine answers."""

from http.client import HTTPConnection

from ports import HOST

__all__ = ["ask"]


def ask(port: int, path: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Return status, content type and body of what an admin server of this machine answers."""
    connection = HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        response = connection.getresponse()
        return response.status, response.headers.get_content_type(), response.read().decode()
    finally:
        connection.close()
