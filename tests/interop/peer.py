"""Peers of ours, one after another, driven by JSON lines: peer.js in Python, on the public API.   python peer.py"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from holepunch.core import CLIENT
from holepunch.udp.system import SendTier, SystemNetwork
from swarm import KeyPair, StorageError, Swarm

if TYPE_CHECKING:
    from swarm import Connection
    from swarm.dht.relay import Relay

WRITE = 65536


def report(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


class Peer:
    """The commands of peer.js: the public methods, each of which takes a command's options and gives its result."""

    def __init__(self, swarm: Swarm, key_pair: KeyPair, nursery: trio.Nursery) -> None:
        self._swarm = swarm
        self._key_pair = key_pair
        self._nursery = nursery
        self._connections: dict[int, Connection] = {}
        self._adopted = 0
        self._relay: Relay | None = None

    def adopt(self, connection: Connection) -> int:
        self._adopted += 1
        conn = self._adopted
        self._connections[conn] = connection
        remote = connection.remote_public_key.hex()
        report({"event": "connection", "conn": conn, "remote": remote, "initiator": connection.is_initiator})
        return conn

    async def adopt_all(self, source: Any) -> None:
        async for connection in source:
            self.adopt(connection)

    async def join(self, topic: str, server: bool = True, client: bool = True) -> dict[str, Any]:
        discovery = self._swarm.join(bytes.fromhex(topic), server=server, client=client)
        return {"flushed": await discovery.flushed()}

    async def leave(self, topic: str) -> None:
        await self._swarm.leave(bytes.fromhex(topic))

    async def listen(self, relay: str | None = None, direct: bool = True) -> None:
        policy: Any = {} if direct else {"relay_policy": "require"}
        listener = await self._swarm.dht.listen(self._key_pair, relay_through=relay, **policy)
        self._nursery.start_soon(self.adopt_all, listener)

    async def connect(self, key: str, relay: str | None = None, direct: bool = True) -> dict[str, Any]:
        if relay is None and direct:
            return {"conn": self.adopt(await self._swarm.connect(bytes.fromhex(key)))}
        policy: Any = {} if direct else {"relay_policy": "require"}
        connection = await self._swarm.dht.connect(key, relay_through=relay, **policy)
        return {"conn": self.adopt(connection)}

    async def path(self, conn: int) -> dict[str, Any]:
        return {"address": str(self._connections[conn].path.remote_address)}

    async def be_relay(self) -> None:
        self._relay = await self._swarm.dht.relay(self._key_pair)

    async def where(self) -> dict[str, Any]:
        return {"addresses": [str(self._swarm.dht.local_address)]}

    async def relay_stats(self) -> dict[str, Any]:
        assert self._relay is not None
        stats = self._relay.stats()
        return {"matched": stats.pairings_matched, "links": stats.links}

    async def heard(self, conn: int) -> dict[str, Any]:
        """Bytes of encrypted frames, as they are counted here, and how many of these an empty frame has."""
        return {"bytes": self._connections[conn].message_bytes[0], "empty_frame": 20}

    async def resent(self, conn: int) -> dict[str, Any]:
        return {"packets": self._connections[conn]._raw.core.packets_retransmitted}

    async def topics(self, conn: int) -> dict[str, Any]:
        return {"topics": [topic.hex() for topic in self._connections[conn].topics]}

    async def connections(self) -> dict[str, Any]:
        alive = set(self._swarm.connections)
        return {
            "open": [
                {"conn": conn, "remote": connection.remote_public_key.hex()}
                for conn, connection in self._connections.items()
                if connection in alive
            ]
        }

    async def links(self) -> dict[str, Any]:
        return {"links": [(c.remote_public_key.hex(), c.handshake_hash.hex()) for c in self._swarm.connections]}

    async def about(self, key: str) -> dict[str, Any]:
        peer = self._swarm.peers.get(bytes.fromhex(key))
        return {"about": None if peer is None else f"{peer!r} {peer.last_error}"}

    async def resources(self) -> dict[str, Any]:
        gone = [conn for conn, connection in self._connections.items() if connection.is_closed]
        for conn in gone:
            del self._connections[conn]
        gc.collect()
        tasks, waiting = 0, [trio.lowlevel.current_root_task()]
        while waiting:
            task = waiting.pop()
            assert task is not None
            tasks += 1
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        routes = [raw.core.route for raw in self._swarm.dht._endpoint.streams._streams.values()]
        return {
            "punched": len({route[0] for route in routes if route is not None and route[0] > CLIENT}),
            "tasks": tasks,
            "streams": self._swarm.dht.stats().streams,
            "peers": len(self._swarm.peers),
            "blocks": sys.getallocatedblocks(),
        }

    async def send(self, conn: int, seed: str, bytes: int) -> dict[str, Any]:
        data = hashlib.shake_256(seed.encode()).digest(bytes)
        for at in range(0, bytes, WRITE):
            await self._connections[conn].send_all(data[at : at + WRITE])
        return {"sha256": hashlib.sha256(data).hexdigest()}

    async def receive(self, conn: int, bytes: int) -> dict[str, Any]:
        digest = hashlib.sha256()
        count = 0
        ended = False
        error = None
        try:
            while count < bytes and not ended:
                data = await self._connections[conn].receive_some(min(bytes - count, WRITE))
                count += len(data)
                digest.update(data)
                ended = not data
        except trio.BrokenResourceError as problem:
            error = str(problem)
        return {"bytes": count, "sha256": digest.hexdigest(), "ended": ended, "error": error}

    async def send_frames(self, conn: int, frames: list[str]) -> None:
        for frame in frames:
            await self._connections[conn].send_frame(bytes.fromhex(frame))

    async def receive_frames(self, conn: int, count: int) -> dict[str, Any]:
        frames: list[str] = []
        while len(frames) < count:
            frame = await self._connections[conn].receive_frame()
            if frame is None:
                break
            frames.append(frame.hex())
        return {"frames": frames}

    async def send_message(self, conn: int, data: str) -> None:
        await self._connections[conn].send_datagram(bytes.fromhex(data))

    async def receive_message(self, conn: int) -> dict[str, Any]:
        return {"data": (await self._connections[conn].receive_datagram()).hex()}

    async def end(self, conn: int) -> None:
        await self._connections[conn].send_eof()

    async def lookup(self, target: str) -> dict[str, Any]:
        keys: dict[str, None] = {}
        async for reply in self._swarm.dht.lookup(bytes.fromhex(target)):
            keys.update(dict.fromkeys(peer.public_key.hex() for peer in reply.peers))
        return {"keys": [*keys]}

    async def find_peer(self, key: str) -> dict[str, Any]:
        async for reply in self._swarm.dht.find_peer(bytes.fromhex(key)):
            return {"key": reply.peer.public_key.hex()}
        return {"key": None}

    async def announce(self, target: str) -> None:
        await self._swarm.dht.announce(bytes.fromhex(target), self._key_pair)

    async def unannounce(self, target: str) -> None:
        await self._swarm.dht.unannounce(bytes.fromhex(target), self._key_pair)

    async def immutable_put(self, value: str) -> dict[str, Any]:
        return {"target": (await self._swarm.dht.immutable_put(bytes.fromhex(value))).hex()}

    async def immutable_get(self, target: str) -> dict[str, Any]:
        value = await self._swarm.dht.immutable_get(bytes.fromhex(target))
        return {"value": value and value.hex()}

    async def mutable_put(self, value: str, seq: int) -> dict[str, Any]:
        try:
            errors = (await self._swarm.dht.mutable_put(self._key_pair, bytes.fromhex(value), seq=seq)).errors
        except StorageError as error:
            errors = error.errors
        return {"errors": [*dict.fromkeys(errors)]}

    async def mutable_get(self, key: str) -> dict[str, Any]:
        found = await self._swarm.dht.mutable_get(bytes.fromhex(key))
        return {"value": found and found.value.hex(), "seq": found and found.seq}


class Host:
    """Takes the commands that start and stop a peer, and gives every other to the peer that is."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._peer: Peer | None = None
        self._life = trio.CancelScope()
        self._leaving = trio.Event()
        self._gone = trio.Event()

    async def run(self, id: int, do: str, **options: Any) -> None:
        command: Any = getattr(self if do in ("be", "stop") else self._peer, do)
        try:
            report({"id": id, "result": await command(**options) or {}})
        except Exception as error:  # whatever it is, the test is told, and judges
            report({"id": id, "error": f"{type(error).__name__}: {error}"})

    async def be(self, bootstrap: str, seed: str, segmenting: bool = True) -> None:
        """Not ``segmenting``: the kernel gets, and gives to the other side, one datagram at a time."""
        self._life, self._leaving, self._gone = trio.CancelScope(), trio.Event(), trio.Event()
        network = SystemNetwork(send_tier=None if segmenting else SendTier.MMSG)
        await self._nursery.start(self._live, bootstrap, KeyPair.from_seed(bytes.fromhex(seed)), network)

    async def stop(self) -> None:
        """Be nobody again, and tell nobody."""
        self._life.cancel()
        await self._gone.wait()

    async def leave(self) -> None:
        if self._peer is not None:
            self._leaving.set()
            await self._gone.wait()

    async def _live(
        self, bootstrap: str, key_pair: KeyPair, network: SystemNetwork, task_status: trio.TaskStatus[None]
    ) -> None:
        try:
            with self._life:
                async with (
                    Swarm(key_pair, bootstrap=[bootstrap], host="127.0.0.1", network=network) as swarm,
                    trio.open_nursery() as nursery,
                ):
                    self._peer = Peer(swarm, key_pair, nursery)
                    nursery.start_soon(self._peer.adopt_all, swarm)
                    await swarm.dht.bootstrapped()
                    task_status.started()
                    await self._leaving.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._peer = None
            self._gone.set()


async def main() -> None:
    async with trio.open_nursery() as nursery:
        host = Host(nursery)
        rest = b""
        async with trio.lowlevel.FdStream(os.dup(0)) as commands:
            async for data in commands:
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    nursery.start_soon(partial(host.run, **json.loads(line)))
        await host.leave()
        nursery.cancel_scope.cancel()


trio.run(main)
