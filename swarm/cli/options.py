"""The options that every command takes, and the swarm or DHT they ask for. Nothing here opens a socket."""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from holepunch.keys import KeyPair, PublicKey
from holepunch.nat.stun import StunServer
from swarm.cli.codes import Code
from swarm.cli.output import Output
from swarm.kademlia.bootstrap import BootstrapHost
from swarm.topic import Topic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from swarm import DHT, Swarm

__all__ = ["CODE", "KEY", "STUN", "TIMEOUT", "TOPIC", "Settings", "options", "told_to_the_user"]

_T = TypeVar("_T")


@contextlib.contextmanager
def told_to_the_user() -> Iterator[None]:
    """What the library says about a value it cannot use is what the user is told, as wrong usage."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise click.BadParameter(str(error)) from error


def _parsed(name: str, parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """A parameter type made from a function of the library."""

    def convert(text: str) -> _T:
        with told_to_the_user():
            return parse(text)

    convert.__name__ = name
    return convert


def _topic(text: str) -> Topic:
    try:
        return Topic(bytes.fromhex(text))
    except ValueError:
        return Topic.from_name(text)


def _bootstrap(text: str) -> str:
    BootstrapHost.parse(text)
    return text


TOPIC = _parsed("topic", _topic)
"""64 hex digits are the topic itself, anything else is a name that is hashed."""
KEY = _parsed("key", PublicKey.parse)
CODE = _parsed("code", Code.parse)
STUN = _parsed("host:port", lambda text: str(StunServer.parse(text)))
_IDENTITY = _parsed("path", KeyPair.load_or_create)
_BOOTSTRAP = _parsed("host:port", _bootstrap)

TIMEOUT = click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), help="Seconds to wait for a peer. Default: no limit."
)


@dataclass(frozen=True)
class Settings:
    """What the common options ask for."""

    output: Output
    bootstrap: tuple[str, ...]
    """Empty: the public DHT."""
    identity: KeyPair | None
    relays: tuple[PublicKey, ...]
    host: str
    port: int

    def swarm(self, identity: KeyPair | None = None, **more: Any) -> Swarm:
        from swarm import Swarm

        with told_to_the_user():
            return Swarm(identity or self.identity, relay_through=self.relays, **self._network(), **more)

    def dht(self, *, first: bool = False, **more: Any) -> DHT:
        """``first``: of a DHT of its own, so it asks no other."""
        from swarm import DHT

        network = self._network()
        if first:
            network["bootstrap"] = ()
        with told_to_the_user():
            return DHT(key_pair=self.identity, relay_through=self.relays, **network, **more)

    def _network(self) -> dict[str, Any]:
        network: dict[str, Any] = {"host": self.host, "port": self.port}
        if self.bootstrap:
            network["bootstrap"] = self.bootstrap
        return network


_OPTIONS = (
    click.option(
        "--bootstrap",
        type=_BOOTSTRAP,
        multiple=True,
        envvar="SWARM_BOOTSTRAP",
        help="A node of the DHT to start from: host:port or ip@host:port; may be repeated. Default: the public DHT.",
    ),
    click.option(
        "--identity",
        type=_IDENTITY,
        envvar="SWARM_IDENTITY",
        help="The file of the key pair to be known by, created on first use. Default: a fresh key for this run.",
    ),
    click.option(
        "--relay",
        "relays",
        type=KEY,
        multiple=True,
        envvar="SWARM_RELAY",
        help="The public key of a relay that carries connections until, or unless, they are direct; may be repeated.",
    ),
    click.option(
        "--host", default="0.0.0.0", envvar="SWARM_HOST", show_default=True, help="The local address to listen on."
    ),
    click.option(
        "--port", default=0, type=click.IntRange(0, 65535), help="The local UDP port. Default: any free port."
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per result."),
    click.option("-v", "--verbose", count=True, help="Say on standard error what is going on; -vv says more."),
)


def options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command's function the common options, as its first argument `Settings`."""

    @functools.wraps(function)
    def with_settings(
        *,
        bootstrap: tuple[str, ...],
        identity: KeyPair | None,
        relays: tuple[PublicKey, ...],
        host: str,
        port: int,
        as_json: bool,
        verbose: int,
        **arguments: Any,
    ) -> None:
        output = Output(as_json=as_json, verbosity=verbose)
        function(Settings(output, bootstrap, identity, relays, host, port), **arguments)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings
