"""STUN servers as further witnesses of what a socket looks like from outside, through `pystun3`. Judges no NAT.

`pystun3` blocks and reads from a socket of its own. Here it runs in a thread, and what it takes for a socket is an
`_Exchange`: the datagrams leave by the endpoint's socket in question, and those that are no well-formed answer to it
never reach it. (Its own verdict on the NAT is not asked for: it needs servers that answer from other addresses, as
RFC 3489 describes and hardly one does.)
"""

from __future__ import annotations

import logging
from functools import partial
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import stun
import trio

from holepunch.address import Address, split_host_port
from holepunch.signaller import Pong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holepunch.compact import Buffer
    from holepunch.core import Role, Sockets
    from holepunch.nursery import Background
    from holepunch.signaller import Cancel
    from holepunch.udp import Network

__all__ = ["MAX_SERVERS", "Stun", "StunServer", "binding_response"]

MAX_SERVERS = 8
"""Four witnesses make a verdict; each server costs a thread, for as long as it does not answer, at every punch."""
MAX_THREADS = 16
"""Exchanges at a time; further ones wait for a thread. Two dials' worth."""
RETRANSMIT = 0.5
"""Seconds without an answer after which the request is sent again (RFC 5389 section 7.2.1); `pystun3` sends it four
times."""
TIMEOUT = 4.0
"""Seconds for one server in all: its name, a thread, and the four sends."""
RESOLVED = 300.0
"""Seconds that the address of a server which answers is kept: sockets come and go faster."""

_HEADER = 20
_BINDING_RESPONSE = 0x0101
_MAPPED_ADDRESS = 0x0001
_IPV4 = b"\x00\x01"

logger = logging.getLogger(__name__)


class StunServer(NamedTuple):
    host: str
    """A name, or an IPv4 address."""
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """``"host:port"``. Raises ``ValueError`` that shows the text and a right one."""
        found = split_host_port(text.strip())
        if found is None:
            raise ValueError(
                f"not a STUN server: {text!r}; a right one looks like 'stun.example.org:3478' or '192.0.2.1:3478'"
            )
        return cls(*found)


def binding_response(data: Buffer, transaction: bytes) -> bytes | None:
    """A binding response as `pystun3` can read it; None for anything else, and for what names no IPv4 address.

    RFC 5389 pads attributes to four bytes, which `pystun3` does not know: the padding is declared to belong to them. A
    length that does not add up would have it read on for ever.
    """
    if len(data) < _HEADER or int.from_bytes(data[:2], "big") != _BINDING_RESPONSE or data[4:_HEADER] != transaction:
        return None
    if int.from_bytes(data[2:4], "big") != len(data) - _HEADER:
        return None
    message = bytearray(data)
    mapped = False
    at = _HEADER
    while at < len(message):
        kind, length = int.from_bytes(message[at : at + 2], "big"), int.from_bytes(message[at + 2 : at + 4], "big")
        padded = -(-length // 4) * 4
        end = at + 4 + padded
        if end > len(message):
            return None
        if kind == _MAPPED_ADDRESS:
            if mapped or length != 8 or message[at + 4 : at + 6] != _IPV4:
                return None
            mapped = True
        message[at + 2 : at + 4] = padded.to_bytes(2, "big")
        at = end
    return bytes(message) if mapped else None


class _Exchange:
    """One request and its answer, in the shape of a socket. Its user is a thread; everything else is trio's.

    Cancelling the task that waits for the thread closes it: whatever the thread calls next, or waits in, raises
    ``trio.Cancelled``, which `pystun3` does not catch.
    """

    def __init__(self, sockets: Sockets, role: Role, server: Address) -> None:
        self._sockets = sockets
        self._role = role
        self._server = server
        self._transaction = b""
        self._answer = b""
        self._answered = trio.Event()

    def sendto(self, data: bytes, _: object) -> None:
        trio.from_thread.run_sync(self._send_from_trio, data)

    def recvfrom(self, _: int) -> tuple[bytes, Address]:
        return trio.from_thread.run(self._receive), self._server

    def _send_from_trio(self, data: bytes) -> None:
        self._transaction = data[4:_HEADER]
        self._sockets.send(self._role, data, self._server)

    async def _receive(self) -> bytes:
        with trio.fail_after(RETRANSMIT):
            await self._answered.wait()
        return self._answer

    def receive(self, role: Role, data: Buffer, source: Address) -> None:
        """A datagram came in. Only the first answer counts."""
        if (role, source) != (self._role, self._server) or self._answered.is_set():
            return
        response = binding_response(data, self._transaction)
        if response is not None:
            self._answer = response
            self._answered.set()


class Stun:
    """The STUN servers of one endpoint. Any of its sockets can ask them; what a server says of one is a `Pong`."""

    def __init__(self, servers: Sequence[StunServer], network: Network, sockets: Sockets) -> None:
        self.servers = tuple(servers)
        self._network = network
        self._sockets = sockets
        self._exchanges: set[_Exchange] = set()
        self._addresses: dict[StunServer, tuple[Address, float]] = {}
        """And until when they hold."""
        self._threads = trio.CapacityLimiter(MAX_THREADS)

    def receive(self, role: Role, data: Buffer, source: Address) -> None:
        """A datagram that is of no other protocol. Never raises."""
        for exchange in self._exchanges:
            exchange.receive(role, data, source)

    async def ask(self, server: StunServer, role: Role) -> Pong | None:
        """Where the server sees packets of this socket come from; None, within 4 s, when it does not say.

        Cancelling ends the thread before it returns.
        """
        pong: Pong | None = None
        with trio.move_on_after(TIMEOUT):
            address = await self._address_of(server)
            if address is None:
                return None
            pong = await self._exchange(role, address)
        if pong is None:
            self._addresses.pop(server, None)
            logger.info("STUN server %s gives no usable answer", server)
        return pong

    async def _address_of(self, server: StunServer) -> Address | None:
        known, until = self._addresses.get(server, (None, 0.0))
        if known is not None and trio.current_time() < until:
            return known
        try:
            found = await self._network.resolve(server.host)
        except OSError as error:
            logger.info("STUN server %s does not resolve: %s", server, error)
            return None
        address = Address(found[0], server.port)
        if server in self.servers:  # as many as were configured: the others are asked once
            self._addresses[server] = address, trio.current_time() + RESOLVED
        return address

    async def _exchange(self, role: Role, server: Address) -> Pong | None:
        exchange = _Exchange(self._sockets, role, server)
        async with self._threads:
            self._exchanges.add(exchange)
            try:
                mapped = await trio.to_thread.run_sync(_mapped_address, exchange, server)
            finally:
                self._exchanges.remove(exchange)
        return None if mapped is None else Pong(server, mapped, role)

    def witnesses(
        self, nursery: Background, turn: Callable[[], object]
    ) -> Sequence[Callable[[Role, Callable[[Pong | None], None]], Cancel]]:
        """`ask` for cores, one callable for each server, which is asked in ``nursery``. ``turn`` is called before each
        answer is handed over: the core is told the time."""
        return [partial(self._ask_soon, server, nursery, turn) for server in self.servers]

    def _ask_soon(
        self,
        server: StunServer,
        nursery: Background,
        turn: Callable[[], object],
        role: Role,
        on_pong: Callable[[Pong | None], None],
    ) -> Cancel:
        scope = trio.CancelScope()

        async def ask() -> None:
            with scope:
                pong = await self.ask(server, role)
                if not scope.cancel_called:  # a thread that is done is not undone by being cancelled
                    turn()
                    on_pong(pong)

        nursery.start_soon(ask)
        return scope.cancel


def _mapped_address(exchange: _Exchange, server: Address) -> Address | None:
    """In a thread. Whatever `pystun3` chokes on, it is no witness."""
    try:
        stun._initialize()
        answer: dict[str, Any] = stun.stun_test(exchange, server.host, server.port, "0.0.0.0", 0)
        mapped = Address(str(IPv4Address(answer["ExternalIP"])), answer["ExternalPort"])
    except Exception as error:  # of a library that parses what strangers send
        logger.debug("STUN with %s failed: %r", server, error)
        return None
    unicast = 0 < int(mapped.host.partition(".")[0]) < 224
    return mapped if unicast and mapped.port else None
