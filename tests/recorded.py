"""Cases recorded from the Node packages (the files of ``tests/vectors``), by what there is to check of them.

``tests/test_vectors.py`` knows which test checks what, and fails when anything recorded is left over.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest

__all__ = ["VECTORS", "Case", "cases", "contents", "message_of", "recorded"]

VECTORS = Path(__file__).parent / "vectors"
Case = dict[str, Any]

DATAGRAM = {"phase", "from", "to", "ttl", "hex", "parsed"}
"""What is recorded of every datagram; whatever else there is was in it, decoded."""
EXPLANATIONS = {"answers_command", "holepunch_secret"}
"""What the rest is decoded with."""


@functools.cache
def cases(file: str) -> list[Case]:
    document = json.loads((VECTORS / file).read_text())
    found: list[Case] = [*document["cases"], *document.get("error_behaviour", ())]
    return found


def contents(file: str, case: Case) -> set[str]:
    """What there is to check of a case. The files each say it in their own way."""
    match file:
        case "compact_encoding.json":
            return {"bad form" if "error" in case else "odd form" if case.get("decode_only") else "value"}
        case "dht_rpc.json" if case["parsed"]["type"] == "holepunch_byte":
            return {"byte to itself" if case["from"] == case["to"] else "byte to a peer"}
        case "dht_rpc.json":
            return {case["parsed"]["type"]} | {
                _name_of_value(case) if key == "value_decoded" else key for key in case.keys() - DATAGRAM - EXPLANATIONS
            }
        case "noise_dh.json":
            return {"shared point" if "shared" in case else "bad point"}
        case "noise_ik.json" | "noise_xx.json":
            return {case["pattern"]}
        case "protomux.json":
            return {"scenario"}
        case "secret_stream.json":
            return {"bad frame"} if "receiver_error" in case else {"stream", *case.keys() & {"unordered_messages"}}
        case "udx_packets.json":
            return {case["name"]}
    return {case["type"] if "type" in case else case["kind"]}


def _name_of_value(case: Case) -> str:
    if case["parsed"]["type"] == "response":
        return f"answer to {case['answers_command']}"
    return f"value of {case['parsed']['command_name']}"


def recorded(file: str, *wanted: str) -> list[Any]:
    """The cases in which there is something of what is wanted, as parameters of a test."""
    found = [
        pytest.param(case, id=str(case.get("name") or case.get("phase") or number))
        for number, case in enumerate(cases(file))
        if contents(file, case) & set(wanted)
    ]
    assert found, f"{file} has no {wanted}"
    return found


def message_of(case: Case) -> tuple[Any, str]:
    """What Node's decoder made of a message, and its bytes in hex: recorded alone, or as the value of a datagram."""
    if "value_decoded" in case:
        return case["value_decoded"], case["parsed"]["value"]
    return case["decoded"], case["hex"]
