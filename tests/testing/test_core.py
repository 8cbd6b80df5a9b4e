"""How packets find their way between hosts, boxes and segments, and what hosts can do."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from holepunch.address import Address
from holepunch.testing import ROUTERS, Link, NatBehaviour
from tests.testing.world import Port, World


def test_neighbours_reach_each_other_without_the_nat() -> None:
    world = World()
    box = world.nat("1.2.3.4", "symmetric", lan="192.168.1.0/24")
    a, b = Port(box.host("192.168.1.2")), Port(box.host("192.168.1.3"))
    a.send(b"x", b.address)
    world.settle()
    assert b.sources == [a.address]


def test_equal_private_addresses_do_not_meet() -> None:
    world = World()
    a, b = (Port(world.nat(lan="192.168.1.0/24").host("192.168.1.2"), 5000) for _ in range(2))
    a.send(b"x", b.address)
    world.settle()
    assert (a.payloads, b.payloads) == ([b"x"], [])


def test_private_address_elsewhere_leads_nowhere() -> None:
    world = World()
    a, b = Port(world.place("home")), Port(world.place("home"))
    a.send(b"x", b.address)
    world.settle()
    assert world.drops == {"no such address": 1}


def test_loopback_stays_on_the_host() -> None:
    world = World()
    host = world.host("1.2.3.4")
    a, b = Port(host), Port(host)
    a.send(b"x", Address("127.0.0.1", b.address.port))
    a.send(b"y", b.address)
    world.settle()
    assert b.sources == [("127.0.0.1", a.address.port), a.address]
    assert world.schedule.now == 0


def test_two_homes_behind_one_carrier_meet_on_its_inside() -> None:
    world = World()
    a = Port(world.place("cgnat"))
    b = Port(a.host.boxes[1].place("fullcone"))
    inside = b.host.boxes[0].addresses[0]
    assert inside.startswith("100.64.")
    b.send(b"open", Address("9.9.9.9", 9))
    world.settle()
    a.send(b"x", Address(inside, b.address.port))
    world.settle()
    assert b.sources == [(a.host.boxes[0].addresses[0], a.address.port)]


def test_unsolicited_goes_to_the_first_host_where_all_is_forwarded() -> None:
    world = World()
    box = world.nat("1.2.3.4", "dmz")
    first, second = Port(box.host(), 5000), Port(box.host(), 5000)
    Port(world.host()).send(b"hello", Address("1.2.3.4", 5000))
    world.settle()
    assert (first.payloads, second.payloads) == ([b"hello"], [])


def test_mapping_expires_and_keepalive_holds_it() -> None:
    world = World()
    server = Port(world.host())
    quiet, lively = (Port(world.nat(None, NatBehaviour(expiry=30)).host()) for _ in range(2))
    for port in (quiet, lively):
        port.send(b"hello", server.address)
    world.wait(20)
    lively.send(b"keep alive", server.address)
    world.wait(20)
    for source in server.sources[:2]:
        server.send(b"still there?", source)
    world.settle()
    assert (quiet.payloads, lively.payloads) == ([], [b"still there?"])


def test_flush_rebind_and_new_address_close_what_was_open() -> None:
    world = World()
    server, home = Port(world.host()), Port(world.place("home"))
    box = home.host.boxes[0]
    seen: list[Address] = []
    for change in (None, box.flush, box.rebind, box.change_address):
        if change is not None:
            change()
            server.send(b"lost", seen[-1])
        world.settle()
        home.send(b"hello", server.address)
        world.settle()
        seen.append(server.sources[-1])
        server.send(b"hello", seen[-1])
        world.settle()
    assert home.payloads == [b"hello"] * 4
    first, flushed, rebound, moved = seen
    assert flushed == first
    assert rebound.host == first.host
    assert rebound.port != first.port
    assert moved.host != first.host
    assert moved.host == home.host.public_address


def test_behaviour_of_a_box_may_change() -> None:
    world = World()
    server, home = Port(world.host()), Port(world.place("home"))
    home.host.boxes[0].behaviour = ROUTERS["udpblocked"]
    home.send(b"blocked", server.address)
    world.settle()
    home.host.boxes[0].behaviour = replace(ROUTERS["home"], expiry=5)
    home.send(b"passes", server.address)
    world.settle()
    assert server.payloads == [b"passes"]
    assert world.drops == {"UDP is blocked": 1}


def test_sleeping_host_hears_and_says_nothing() -> None:
    world = World()
    a, b = Port(world.host()), Port(world.host())
    b.host.sleep()
    a.send(b"lost", b.address)
    b.send(b"lost", a.address)
    world.settle()
    b.host.wake()
    a.send(b"good morning", b.address)
    world.settle()
    assert (a.payloads, b.payloads) == ([], [b"good morning"])


def test_host_that_moves_takes_its_open_sockets_along() -> None:
    world = World()
    server, roamer = Port(world.host()), Port(world.place("home"))
    roamer.send(b"from home", server.address)
    world.settle()
    mobile = world.nat("7.7.7.7", "home-rand", link=Link(delay=0.05))
    roamer.host.move(mobile)
    server.send(b"lost", server.sources[0])
    roamer.send(b"from the train", server.address)
    world.settle()
    server.send(b"hello", server.sources[1])
    world.settle()
    assert server.sources[1].host == "7.7.7.7"
    assert roamer.payloads == [b"hello"]
    assert roamer.host.public_address == "7.7.7.7"


def test_ttl_runs_out_hop_by_hop() -> None:
    world = World()
    server, home = Port(world.host()), Port(world.place("home"))
    for ttl in (1, 2, 7, 8, 64):
        home.send(bytes([ttl]), server.address, ttl=ttl)
    world.settle()
    assert server.payloads == [b"\x08", b"\x40"]


def test_binding_fails_as_on_a_real_host() -> None:
    world = World()
    host = world.host("1.2.3.4", "1.2.3.5")
    host.open(print, "1.2.3.4", 5000)
    host.open(print, "1.2.3.5", 5000)
    for wrong, number in (
        (("1.2.3.4", 5000), errno.EADDRINUSE),
        (("0.0.0.0", 5000), errno.EADDRINUSE),
        (("9.9.9.9", 0), errno.EADDRNOTAVAIL),
    ):
        with pytest.raises(OSError, match=wrong[0]) as caught:
            host.open(print, *wrong)
        assert caught.value.errno == number


def test_host_with_several_addresses_answers_from_the_bound_one() -> None:
    world = World()
    host, client = world.host("1.2.3.4", "1.2.3.5"), Port(world.host())
    second = host.open(print, "1.2.3.5", 5000)
    host.send(second, b"x", 1, client.address)
    world.settle()
    assert client.sources == [second]


def test_closed_port_and_empty_or_giant_datagrams_are_lost() -> None:
    world = World()
    a, b = Port(world.host()), Port(world.host(link=Link(mtu=100_000)))
    a.host.link = b.host.link
    for size in (0, 65507, 65508):
        a.send(bytes(size), b.address)
    world.settle()
    assert [len(payload) for payload in b.payloads] == [65507]
    b.close()
    a.send(b"x", b.address)
    world.settle()
    assert world.drops == {"no datagram": 2, "no such socket": 1}


def test_address_is_given_to_one_node_only() -> None:
    world = World()
    world.host("1.2.3.4")
    with pytest.raises(ValueError, match=r"1\.2\.3\.4 is taken"):
        world.nat("1.2.3.4")
    with pytest.raises(ValueError):
        world.host("not an address")
    hosts = [world.host() for _ in range(300)]
    assert len({host.addresses for host in hosts}) == 300


def test_all_that_happens_can_be_watched() -> None:
    world = World()
    a, b = Port(world.host()), Port(world.host())
    seen: list[tuple[float, str, bytes]] = []
    world.watch = lambda now, what, packet: seen.append((round(now, 3), what, packet.data))
    a.send(b"hello", b.address)
    a.send(b"nobody", Address("9.9.9.9", 9))
    world.settle()
    assert seen == [(0.01, "no such address", b"nobody"), (0.02, "delivered", b"hello")]
