"""The storing side of HyperDHT: requests are checked here, and `Storage` keeps what they bring.

Only a persistent node stores. To what is malformed, unsigned or without a token it is silent, as Node is: the one who
sent it learns nothing, and we send nothing to forged sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from holepunch.errors import DecodeError
from holepunch.keys import hash32
from swarm.hyperdht.messages import AnnounceRequest, Command, MutablePutRequest, PluginRequest, decode_minimum_seq
from swarm.hyperdht.signatures import verify_announce, verify_mutable
from swarm.hyperdht.storage import MAX_VALUE_SIZE
from swarm.kademlia.packets import OK, UNKNOWN_COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable

    from swarm.hyperdht.storage import Storage
    from swarm.kademlia.node import Node
    from swarm.kademlia.rpc import Request

__all__ = ["Plugin", "StorageCommands"]


class Plugin(NamedTuple):
    """An extension of this node: answers `PluginRequest`s of one name and version."""

    version: int
    on_request: Callable[[PluginRequest, Request], None]


class StorageCommands:
    """Handlers of the commands 2 to 10 on one node."""

    def __init__(self, node: Node, storage: Storage, own_record: Callable[[bytes], bytes | None]) -> None:
        """``own_record(target)``: the peer record of a server on this node itself."""
        self._node = node
        self._storage = storage
        self._own_record = own_record
        self.plugins: dict[str, Plugin] = {}
        for command, handler in {
            Command.FIND_PEER: self._find_peer,
            Command.LOOKUP: self._lookup,
            Command.ANNOUNCE: self._announce,
            Command.UNANNOUNCE: self._unannounce,
            Command.MUTABLE_PUT: self._mutable_put,
            Command.MUTABLE_GET: self._mutable_get,
            Command.IMMUTABLE_PUT: self._immutable_put,
            Command.IMMUTABLE_GET: self._immutable_get,
        }.items():
            node.commands[command] = self._about_target(handler)
        node.commands[Command.PLUGIN] = self._plugin

    def _about_target(self, handler: Callable[[Request, bytes], None]) -> Callable[[Request], None]:
        def handle(request: Request) -> None:
            if self._node.id is None:
                request.reply(error=UNKNOWN_COMMAND)
            elif request.target is not None:
                try:
                    handler(request, request.target)
                except DecodeError:
                    return

        return handle

    # announcements

    def _find_peer(self, request: Request, target: bytes) -> None:
        request.reply(self._storage.find_peer(target, self._own_record(target)))

    def _lookup(self, request: Request, target: bytes) -> None:
        request.reply(self._storage.lookup(target, self._own_record(target)))

    def _announce(self, request: Request, target: bytes) -> None:
        if request.token is None or not request.value:
            return
        announced = AnnounceRequest.decode(request.value)
        if announced.peer is None:
            if announced.refresh is None or not self._storage.refresh(announced.refresh, request.from_):
                return
        elif self._signed(Command.ANNOUNCE, target, request.token, announced):
            self._storage.announce(target, announced.peer, request.from_, announced.refresh, announced.bump)
        else:
            return
        request.reply(token=False, closer=False)

    def _unannounce(self, request: Request, target: bytes) -> None:
        if request.token is None or not request.value:
            return
        announced = AnnounceRequest.decode(request.value)
        if announced.peer is None or not self._signed(Command.UNANNOUNCE, target, request.token, announced):
            return
        self._storage.unannounce(target, announced.peer.public_key)
        request.reply(token=False, closer=False)

    def _signed(self, command: Command, target: bytes, token: bytes, announced: AnnounceRequest) -> bool:
        own_id = self._node.id
        return own_id is not None and verify_announce(command, target, own_id, token, announced)

    # values; an empty one is none at all, as in Node

    def _mutable_put(self, request: Request, target: bytes) -> None:
        if request.token is None or not request.value:
            return
        put = MutablePutRequest.decode(request.value)
        content = put.content
        if not 0 < len(content.value) <= MAX_VALUE_SIZE or hash32(put.public_key) != target:
            return
        if not verify_mutable(content, put.public_key):
            return
        request.reply(error=self._storage.put_mutable(target, content) or OK)

    def _mutable_get(self, request: Request, target: bytes) -> None:
        if request.value:
            request.reply(self._storage.get_mutable(target, decode_minimum_seq(request.value)))

    def _immutable_put(self, request: Request, target: bytes) -> None:
        value = request.value
        if request.token is None or not value or len(value) > MAX_VALUE_SIZE or hash32(value) != target:
            return
        self._storage.put_immutable(target, value)
        request.reply()

    def _immutable_get(self, request: Request, target: bytes) -> None:
        request.reply(self._storage.get_immutable(target))

    # extensions

    def _plugin(self, request: Request) -> None:
        if self._node.id is None:
            request.reply(error=UNKNOWN_COMMAND)
            return
        if not request.value:
            return
        try:
            asked = PluginRequest.decode(request.value)
        except DecodeError:
            return
        plugin = self.plugins.get(asked.plugin)
        if plugin is not None and plugin.version == asked.version:
            plugin.on_request(asked, request)
