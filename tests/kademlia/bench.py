"""One `Rpc` on the bench: everything it sends, hands over and hears back is kept, and packets are put in by hand."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from holepunch.address import Address
from holepunch.admission import Budget, Rate
from holepunch.core import CLIENT, SERVER, Role, Schedule
from swarm.kademlia.ids import node_id
from swarm.kademlia.packets import (
    RequestPacket,
    ResponsePacket,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from swarm.kademlia.rpc import Reply, Request, Rpc
from swarm.kademlia.table import Table

if TYPE_CHECKING:
    from holepunch.signaller import Cancel

HERE = Address("1.1.1.1", 1000)
THERE = Address("2.2.2.2", 2000)
ELSEWHERE = Address("3.3.3.3", 3000)
TARGET = bytes(range(32))
PUNCH: Role = 2
PLENTY = Rate(1e6, 1e6)


class Bench:
    """One `Rpc`, and everything it sends, hands over and hears back."""

    def __init__(self, *, firewalled: bool = True, budget: Budget | None = None) -> None:
        self.schedule = Schedule()
        self.table = Table(node_id(HERE))
        self.sent: list[tuple[Role, bytes, Address]] = []
        self.requests: list[Request] = []
        self.seen: list[Reply] = []
        self.replies: list[Reply | None] = []
        self.silent: list[Address] = []
        self.rpc = Rpc(
            self,
            self.schedule,
            random.Random(1),
            self.table,
            budget or Budget(PLENTY, PLENTY),
            firewalled=firewalled,
            on_request=self.requests.append,
            on_reply=self.seen.append,
            on_silence=self.silent.append,
        )

    def send(self, role: Role, data: bytes, to: Address, ttl: int = 0) -> None:
        self.sent.append((role, data, to))

    def open(self) -> Role:
        raise OSError

    def close(self, role: Role) -> None:
        raise OSError

    def ask(self, to: Address = THERE, **options: Any) -> Cancel:
        options.setdefault("command", 7)
        return self.rpc.request(to, self.replies.append, **options)

    def run(self, until: float) -> None:
        while self.schedule.deadline() <= until:
            self.schedule.advance(self.schedule.deadline())
        self.schedule.advance(until)

    def asked(self, number: int = -1) -> RequestPacket:
        return decode_request(self.sent[number][1])

    def answer(self, tid: int, *, source: Address = THERE, role: Role = CLIENT, **fields: Any) -> None:
        packet = ResponsePacket(tid, HERE, None, None, [], 0, None)._replace(**fields)
        self.rpc.receive(role, encode_response(packet), source)

    def hear(self, *, source: Address = THERE, role: Role = SERVER, **fields: Any) -> Request | None:
        """A request comes; what is handed over of it, if it is."""
        count = len(self.requests)
        packet = RequestPacket(5, HERE, None, None, False, 7, None, None)._replace(**fields)
        self.rpc.receive(role, memoryview(encode_request(packet)), source)
        return self.requests[-1] if len(self.requests) > count else None

    def replied(self) -> ResponsePacket:
        return decode_response(self.sent[-1][1])
