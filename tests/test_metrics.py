"""Counts as Prometheus text, over the plainest HTTP."""

from __future__ import annotations

import pytest
import trio

from swarm.metrics import MAX_REQUEST, exposition, serve_metrics


def test_every_number_is_a_metric_of_its_kind() -> None:
    text = exposition("x", {"open": True, "a": {"b_total": 3, "c": 0.5}, "name": "left out", "nothing": None})
    assert text.splitlines() == [
        "# TYPE x_open gauge",
        "x_open 1",
        "# TYPE x_a_b_total counter",
        "x_a_b_total 3",
        "# TYPE x_a_c gauge",
        "x_a_c 0.5",
    ]


def test_big_counts_lose_no_digit() -> None:
    assert exposition("x", {"n_total": 123456789012}).endswith("x_n_total 123456789012\n")


async def ask(port: int, request: bytes) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request)
        return b"".join([data async for data in stream])


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"\x16\x03\x01\r\n\r\n", b"400"),
        (b"x" * MAX_REQUEST, b"400"),
    ],
)
async def test_requests_get_their_status(nursery: trio.Nursery, request_: bytes, status: bytes) -> None:
    port = await nursery.start(serve_metrics, 0, lambda: "up 1\n")
    head, _, body = (await ask(port, request_)).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert (body == b"up 1\n") == (status == b"200")
    assert f"Content-Length: {len(body)}".encode() in head


async def test_client_that_goes_away_harms_nobody(nursery: trio.Nursery) -> None:
    port = await nursery.start(serve_metrics, 0, lambda: "up 1\n")
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /me")
    assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")).endswith(b"up 1\n")
