"""The kinds of router in the lab: what each does, and the nftables rules that make a Linux router do it.

Source NAT of Linux keeps the port it once gave to an inner endpoint unless told otherwise, and connection tracking lets
in only what was sent to: that is the usual home router. The other kinds are deviations from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CARRIERS", "KINDS", "PUBLIC", "ROUTERS", "Behaviour", "rules"]

Dependence = Literal["endpoint", "address", "address and port"]
"""What a mapping depends on, or what an inbound packet is compared with (RFC 4787): nothing but the inner endpoint; the
outer address, too; or its port as well."""


@dataclass(frozen=True)
class Behaviour:
    mapping: Dependence = "endpoint"
    filtering: Dependence = "address and port"
    ports: Literal["kept", "other", "random", "next"] = "kept"
    forwarded: bool = False
    """Whatever nobody asked for goes to the host."""
    hairpin: bool = False
    """Inner hosts reach each other at their outer addresses."""
    udp: bool = True


ROUTERS = {
    "dmz": Behaviour(filtering="endpoint", forwarded=True),
    "fullcone": Behaviour(filtering="endpoint"),
    "fullcone-rand": Behaviour(filtering="endpoint", ports="other"),
    "restricted": Behaviour(filtering="address"),
    "restricted-rand": Behaviour(filtering="address", ports="other"),
    "home": Behaviour(),
    "home-rand": Behaviour(ports="other"),
    "home-hairpin": Behaviour(hairpin=True),
    "home-rand-hairpin": Behaviour(ports="other", hairpin=True),
    "addrdep": Behaviour(mapping="address", ports="random"),
    "symmetric": Behaviour(mapping="address and port", ports="random"),
    "symmetric-seq": Behaviour(mapping="address and port", ports="next"),
    "udpblocked": Behaviour(udp=False),
}
CARRIERS = {"cgnat": "home-rand", "cgnat-hairpin": "home-rand-hairpin", "cgnat-symmetric": "symmetric"}
"""A home router behind a carrier's."""
PUBLIC = ("open", "firewall")
"""A public address, without and with a stateful firewall."""
KINDS = (*PUBLIC, *ROUTERS, *CARRIERS)

MAPPING_TIMEOUT = 120
SHIFT = 7919
"""How far ports move when a router is rebound."""


def rules(
    kind: str,
    address: str,
    host: str,
    *,
    lan: str,
    moves: int = 0,
    wan_input: str = "drop",
    loss: float = 0.0,
    seed: int = 1,
) -> str:
    """The table of one router. ``moves`` counts how often it has given its inner endpoints other ports; ``loss`` is the
    share of packets that its uplink loses, each way."""
    behaviour = ROUTERS[kind]
    shift = moves * SHIFT % 20000
    lets_in = behaviour.filtering != "address and port" or behaviour.hairpin
    learns = behaviour.mapping == "endpoint" and lets_in and not behaviour.forwarded
    ports, source_nat = "", f"snat to {address}"
    if behaviour.ports == "other" or (behaviour.ports == "kept" and moves):
        source_nat += f":{2000 + shift}-{11999 + shift}"  # below the ports that programs get, which would be kept
    elif behaviour.mapping == "address":
        source_nat += f":jhash ip saddr . udp sport . ip daddr mod 16384 seed {seed + moves} offset 20000"
    elif behaviour.ports == "next":
        base = 10000 + seed % 20000
        elements = ",".join(f"{n} : {base + n}" for n in range(32768))
        ports = f"map ports {{ typeof numgen inc mod 32768 : udp dport; elements = {{ {elements} }} }}"
        source_nat += ":numgen inc mod 32768 map @ports"
    elif behaviour.ports == "random":
        source_nat += " fully-random"
    inbound, learning, hairpinned = "", "", ""
    if behaviour.forwarded:
        inbound = f"ip daddr {address} meta l4proto udp dnat to {host}"
    elif learns:
        if behaviour.filtering != "address and port":
            known = "meta l4proto udp" if behaviour.filtering == "endpoint" else "udp dport . ip saddr @spoken_to"
            inbound = f'iifname "wan" ip daddr {address} {known} dnat ip to udp dport map @inside'
        if behaviour.hairpin:
            inbound += f'\niifname "lan" ip daddr {address} meta l4proto udp dnat ip to udp dport map @inside'
            hairpinned = f'oifname "lan" ip saddr {lan} meta l4proto udp ct status dnat {source_nat}'
        ports = f"""
            map inside {{
                type inet_service : ipv4_addr . inet_service; flags dynamic,timeout; timeout {MAPPING_TIMEOUT}s;
            }}
            set spoken_to {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout {MAPPING_TIMEOUT}s; }}"""
        out = 'oifname "wan" meta l4proto udp ct direction'
        learning = f"""
            {out} original update @inside {{ ct reply proto-dst : ct original ip saddr . ct original proto-src }}
            {out} original update @spoken_to {{ ct reply proto-dst . ip daddr }}
            {out} reply update @inside {{ ct original proto-dst : ct reply ip saddr . ct reply proto-src }}
            {out} reply update @spoken_to {{ ct original proto-dst . ip daddr }}"""
    lose = f"numgen random mod 100000 < {round(loss * 100000)} drop" if loss else ""
    return f"""
        table ip lab
        delete table ip lab
        table ip lab {{
            {ports}
            chain prerouting {{ type nat hook prerouting priority dstnat; {inbound}
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                oifname "wan" meta l4proto udp {source_nat}
                oifname "wan" masquerade
                {hairpinned}
            }}
            chain lossy_in {{
                type filter hook prerouting priority -400;
                {'iifname "wan" ' + lose if lose else ""}
            }}
            chain lossy_out {{
                type filter hook postrouting priority 400;
                {'oifname "wan" ' + lose if lose else ""}
            }}
            chain learn {{ type filter hook postrouting priority 200; {learning}
            }}
            chain input {{
                type filter hook input priority 0;
                iifname "wan" meta l4proto {{ tcp, udp }} ct state new {wan_input}
            }}
            chain forward {{
                type filter hook forward priority 0;
                iifname "wan" ct state new ct status dnat accept
                iifname "wan" ct state new drop
                {"" if behaviour.udp else "meta l4proto udp drop"}
            }}
        }}
        """
