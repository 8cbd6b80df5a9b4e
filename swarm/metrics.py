"""Counts as Prometheus text, and the smallest HTTP server that hands it to a collector. Counts nothing itself.

The format is the text exposition format 0.0.4. Only this host is answered: what is exported is nobody else's business.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MAX_REQUEST", "exposition", "serve_metrics"]

HOST = "127.0.0.1"
MAX_REQUEST = 8192
"""Bytes of a request's head."""
PATIENCE = 5.0
"""Seconds for a whole exchange."""
MAX_CLIENTS = 16
"""Exchanges at one time; more wait."""

_CONTENT = "text/plain; version=0.0.4; charset=utf-8"


def exposition(prefix: str, values: Mapping[str, Any]) -> str:
    """Nested plain values, as ``to_dict()`` gives them, one metric a number: ``{"a": {"b": 1}}`` is ``prefix_a_b 1``.

    What ends in ``_total`` is a counter, everything else a gauge; what is no number is left out.
    """
    lines: list[str] = []
    for name, value in _flat(prefix, values):
        lines += (f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", f"{name} {_number(value)}")
    return "\n".join(lines) + "\n"


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        name = f"{prefix}_{key}"
        if isinstance(value, dict):
            yield from _flat(name, value)
        elif isinstance(value, bool | int | float):
            yield name, float(value)


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


async def serve_metrics(
    port: int, render: Callable[[], str], *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer ``GET /metrics`` on loopback with what ``render`` gives, until cancelled.

    Reports the port as started: the one that was asked for, or a free one for 0. Raises ``OSError`` when it is taken.
    """
    (listener,) = await trio.open_tcp_listeners(port, host=HOST)
    limit = trio.CapacityLimiter(MAX_CLIENTS)
    task_status.started(listener.socket.getsockname()[1])
    await trio.serve_listeners(partial(_answer, render, limit), [listener])


async def _answer(render: Callable[[], str], limit: trio.CapacityLimiter, client: trio.SocketStream) -> None:
    async with client, limit:
        with trio.move_on_after(PATIENCE):
            try:
                await client.send_all(_response(await _request_line(client), render))
            except trio.BrokenResourceError:
                return  # it did not wait for the answer


async def _request_line(client: trio.SocketStream) -> bytes:
    """Once the whole head was received, or too much of one."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_REQUEST:
        data = await client.receive_some(MAX_REQUEST)
        if not data:
            break
        head += data
    return head.partition(b"\r\n")[0]


def _response(request: bytes, render: Callable[[], str]) -> bytes:
    method, _, rest = request.partition(b" ")
    path, _, version = rest.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        status, body = "400 Bad Request", "this is HTTP/1\n"
    elif path.partition(b"?")[0] != b"/metrics":
        status, body = "404 Not Found", "the only page is /metrics\n"
    elif method != b"GET":
        status, body = "405 Method Not Allowed", "the only method is GET\n"
    else:
        status, body = "200 OK", render()
    content = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_CONTENT}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + content
