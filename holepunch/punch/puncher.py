"""One side of a hole punch: its sockets, what it knows of both NATs, and the probes it sends.

It talks to the peer through probes only; what the two sides tell each other through relays is handed to it.
Node: hyperdht lib/holepuncher.js.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from holepunch.address import Address
from holepunch.nat.classifier import Firewall
from holepunch.punch.limits import MAX_ADDRESSES, MAX_ECHOES
from holepunch.punch.sampling import Sampling
from holepunch.punch.scope import Latch, Scope
from holepunch.punch.strategies import (
    DEFAULT_TTL,
    OPENING_TTL,
    from_many_sockets,
    middle_port,
    steady,
    to_many_ports,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from holepunch.core import Role
    from holepunch.punch.environment import Environment
    from holepunch.punch.messages import HolepunchPayload
    from holepunch.punch.scope import Steps

__all__ = ["Puncher", "firewall_of"]

PROBE = b"\x00"
MAX_REOPENS = 3
STRANGE_WAIT = 1.0
"""Seconds of punching for which a probe from a host that the peer has not named waits for one from a host that it has.
Anyone can send a byte, and a path that leads to nobody costs the dial 10 s; but a carrier may send the peer's packets
from several hosts. Where both NATs keep their ports the peer's own probes come within a round trip."""
STRANGE_WAIT_RANDOM = 3.0
"""The same while ports are searched for: by then 19 of 20 searches have hit."""


def firewall_of(value: int) -> Firewall:
    """What a peer says of its NAT. A class that this version does not know counts as random, as in Node."""
    return Firewall(value) if value < Firewall.RANDOM else Firewall.RANDOM


class Puncher:
    """Owns its sockets until `close`. Raises ``OSError`` when there is none to begin with."""

    __slots__ = (
        "_birthday",
        "_echoes",
        "_environment",
        "_given_away",
        "_hosts",
        "_initiator",
        "_named_hit",
        "_on_abort",
        "_on_hit",
        "_reopened",
        "_roles",
        "_started",
        "_strange",
        "connected",
        "limit",
        "met",
        "nat",
        "punching",
        "remote_addresses",
        "remote_firewall",
        "remote_punching",
        "rng",
        "role",
        "schedule",
        "scope",
    )

    def __init__(
        self,
        environment: Environment,
        *,
        initiator: bool,
        on_hit: Callable[[Role, Address], None],
        on_abort: Callable[[], None],
    ) -> None:
        """Begins to learn the own NAT at once.

        ``on_hit``: a probe of the peer arrived. An initiator is told, once; or twice, if the first came from a host
        that the peer had not named and the second from one that it had. ``on_abort``: all probes were in vain, and
        everything is released.
        """
        self._environment = environment
        self._initiator = initiator
        self._on_hit = on_hit
        self._on_abort = on_abort
        self._birthday: bool | None = None
        """Whether this side is the random one, while a place in the limit of random punches is taken."""
        self._started: bool | None = None
        self._echoes = 0
        self._hosts: frozenset[str] = frozenset()
        self._named_hit = False
        self._strange: tuple[Role, Address] | None = None
        """The first probe from a host that the peer has not named."""
        self._reopened: Latch[bool] | None = None
        self._roles: list[Role] = []
        self._given_away: Role | None = None
        self.schedule = environment.schedule
        self.rng = environment.rng
        self.limit = environment.random_punches
        self.scope = Scope(environment.schedule)
        self.met = False
        """The peer is known, so that a probe can only be its."""
        self.remote_firewall = Firewall.UNKNOWN
        self.remote_addresses: Sequence[tuple[Address, bool]] = ()
        """The peer's addresses, and whether each one's host was proven to be the peer's."""
        self.remote_punching = False
        self.punching = False
        self.connected = False
        self.role = self._open()
        """The socket that is known to the peer."""
        self.nat = Sampling(environment, self.role)

    # -- the two NATs

    @property
    def hopeless(self) -> bool:
        """Both NATs are random, and not both predictable."""
        both = self.nat.firewall is self.remote_firewall is Firewall.RANDOM
        return both and not (self.nat.last_port and self._remote_hint)

    @property
    def _remote_hint(self) -> int:
        """The last port that the peer's random NAT gave out, as far as the peer tells; else 0."""
        return self.remote_addresses[0][0].port if self.remote_addresses else 0

    @property
    def _unstable(self) -> bool:
        return self.nat.firewall is Firewall.UNKNOWN or self.hopeless

    def analyze(self, *, reopen: bool) -> Steps[bool]:
        """Wait for the verdict on the own NAT. False: there is none, or it leaves no way to punch.

        ``reopen``: before saying so try other sockets, as a carrier's NAT may treat the next one better.
        """
        yield from self.nat.analysed.wait()
        if not self._unstable:
            return True
        if not reopen:
            return False
        if self._reopened is None:
            self._reopened = Latch()
            self.scope.run(self._reopen(), self._reopened.set)
        return (yield from self._reopened.wait())

    def _reopen(self) -> Steps[bool]:
        for _ in range(MAX_REOPENS):
            if not self._unstable or self.punching:
                break
            try:
                role = self._open()
            except OSError:
                break
            self.nat.close()
            self._drop(self.role)
            self.role = role
            self.nat = Sampling(self._environment, role)
            yield from self.nat.analysed.wait()
        return self.nat.firewall in (Firewall.CONSISTENT, Firewall.OPEN)

    def meet(self, remote_firewall: int, hosts: Iterable[str] = ()) -> None:
        """The peer has shaken hands, and said this of its NAT. From now on probes count.

        ``hosts``: where the peer is, as it says or as the network of its relays has seen it.
        """
        self.met = True
        self._hosts = frozenset(hosts)
        self.remote_firewall = firewall_of(remote_firewall)

    def update_remote(self, payload: HolepunchPayload, verified_host: str | None) -> None:
        """What the peer says of itself. A host stays proven while the peer names it."""
        proven = {address.host for address, verified in self.remote_addresses if verified}
        if verified_host is not None:
            proven.add(verified_host)
        self.remote_firewall = firewall_of(payload.firewall)
        self.remote_addresses = [(a, a.host in proven) for a in (payload.addresses or ())[:MAX_ADDRESSES]]
        self.remote_punching = payload.punching
        if self._strange is not None:
            # not now: whoever was told this goes on with what it does
            self.scope.after(0, self._recognise)

    def _recognise(self) -> None:
        if self._strange is not None and self._is_named(self._strange[1].host):
            self._hit(*self._strange)

    def _is_named(self, host: str) -> bool:
        return host in self._hosts or any(address.host == host for address, _ in self.remote_addresses)

    # -- probes

    def probe(self, to: Address, *, role: Role | None = None, ttl: int = DEFAULT_TTL) -> None:
        if to.port:
            self._environment.sockets.send(self.role if role is None else role, PROBE, to, ttl)

    def open_session(self, to: Address) -> None:
        """Open the own NAT towards ``to``, without reaching it."""
        self.probe(to, ttl=OPENING_TTL)

    def _on_probe(self, role: Role, source: Address) -> None:
        if not self.met:
            return
        if self._initiator:
            if self._is_named(source.host):
                self._hit(role, source)
            elif self._strange is None:
                self._strange = role, source
                if self.punching:
                    self._wait_for_better()
        elif self._echoes < MAX_ECHOES:
            # the initiator decides: it takes the first answer, and its traffic then tells this side
            self._echoes += 1
            self.probe(source, role=role)

    def _hit(self, role: Role, source: Address) -> None:
        """The peer itself, as far as anyone can know."""
        if not self._named_hit:
            self._named_hit = self.connected = True
            self._on_hit(role, source)

    def _wait_for_better(self) -> None:
        is_random = Firewall.RANDOM in (self.nat.firewall, self.remote_firewall)
        self.scope.after(STRANGE_WAIT_RANDOM if is_random else STRANGE_WAIT, self._take_strange)

    def _take_strange(self) -> None:
        if self._strange is not None and not self.connected:
            self.connected = True
            self._on_hit(*self._strange)

    # -- punching

    def reserve(self) -> bool:
        """Take a place in the node's limit, if a random NAT is involved. False: none is free now."""
        birthday = self.nat.firewall is Firewall.RANDOM
        if self._birthday is None and (birthday or self.remote_firewall is Firewall.RANDOM):
            if not self.limit.admits(birthday):
                return False
            self._birthday = birthday
            self.limit.begin(birthday)
        return True

    def unreserve(self) -> None:
        if self._birthday is not None:
            self.limit.end(self._birthday)
            self._birthday = None

    def punch(self) -> bool:
        """Begin to punch, once, with a place reserved. False: the two NATs leave no way, or the peer's address is not
        proven."""
        if self._started is None:
            # a probe that came through already has done what the strategy is for
            steps = None if self.connected else self._strategy()
            self.punching = steps is not None
            self._started = self.connected or self.punching
            if steps is not None:
                self.scope.run(steps, lambda _: self._give_up())
                if self._strange is not None:
                    self._wait_for_better()
        return self._started

    def _strategy(self) -> Steps[None] | None:
        """An OPEN side keeps its port, so it counts as CONSISTENT."""
        own, remote = self.nat.firewall, self.remote_firewall
        if Firewall.UNKNOWN in (own, remote) or self.hopeless or not self.remote_addresses:
            return None
        if Firewall.RANDOM not in (own, remote):
            return steady(self)
        proven = next((address for address, verified in self.remote_addresses if verified), None)
        if proven is None:
            return None
        if own is not Firewall.RANDOM:
            return to_many_ports(self, proven.host, proven.port)
        if remote is not Firewall.RANDOM:
            return from_many_sockets(self, proven)
        return from_many_sockets(self, Address(proven.host, middle_port(proven.port)), both=True)

    def _give_up(self) -> None:
        self.close()
        self._on_abort()

    # -- sockets

    @property
    def roles(self) -> Sequence[Role]:
        return self._roles

    def open_socket(self) -> bool:
        """Hold one more. False: the system has none left."""
        try:
            self._open()
        except OSError:
            return False
        return True

    def _open(self) -> Role:
        role = self._environment.sockets.open()
        self._environment.probes.listen(role, self._on_probe)
        self._roles.append(role)
        return role

    def _drop(self, role: Role) -> None:
        if self._strange is not None and self._strange[0] == role:
            self._strange = None
        self._roles.remove(role)
        self._environment.probes.forget(role)
        self._environment.sockets.close(role)

    @property
    def closed(self) -> bool:
        return self.scope.closed

    def give_away(self, role: Role) -> None:
        """A stream goes through the socket ``role``, if it is one of these: `close` leaves it open."""
        self._given_away = role

    def close(self) -> None:
        """Release everything but the socket that was given away. Closing again does nothing."""
        self.scope.close()
        self.nat.close()
        self.punching = False
        for role in self._roles:
            self._environment.probes.forget(role)
            if role != self._given_away:
                self._environment.sockets.close(role)
        self._roles.clear()
        self.unreserve()
