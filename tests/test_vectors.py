"""Everything that was recorded from Node is checked: the table says by which test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import test_address, test_codecs, test_keys
from tests.hyperdht import test_messages, test_signatures
from tests.kademlia import test_ids, test_packets, test_tokens
from tests.nat_core import test_classifier, test_sampler
from tests.punch import test_messages as test_connecting
from tests.punch import test_puncher
from tests.recorded import VECTORS, Case, cases, contents
from tests.relay import test_forwarding, test_protomux, test_server
from tests.secure import test_noise, test_recorded_streams
from tests.udp import test_localhosts
from tests.udx import test_recorded, test_recorded_answers

Check = Callable[..., object]

CHECKS: dict[str, dict[str, Check]] = {
    "blind_relay.json": {
        "encoding": test_server.test_messages_are_encoded_as_in_node,
        "flow": test_server.test_control_traffic_is_that_of_node,
        "udx forwarding": test_forwarding.test_only_the_stream_id_of_a_packet_changes,
    },
    "compact_encoding.json": {
        "value": test_codecs.test_recorded_value_is_encoded_and_decoded_as_node_does,
        "odd form": test_codecs.test_recorded_odd_form_is_decoded_as_node_does,
        "bad form": test_codecs.test_recorded_bad_form_is_refused_as_node_does,
    },
    "dht_rpc.json": {
        "request": test_packets.test_recorded_request_reads_and_writes_the_same_bytes,
        "response": test_packets.test_recorded_response_reads_and_writes_the_same_bytes,
        "byte to itself": test_localhosts.test_an_own_address_is_tested_with_the_datagram_that_node_tests_with,
        "byte to a peer": test_puncher.test_recorded_probes_are_those_that_we_send,
        "value of PEER_HANDSHAKE": test_connecting.test_recorded_handshake_message,
        "answer to PEER_HANDSHAKE": test_connecting.test_recorded_handshake_message,
        "noise_payload": test_connecting.test_payload_inside_a_recorded_handshake_is_as_long_as_ours,
        "value of PEER_HOLEPUNCH": test_connecting.test_recorded_holepunch_message,
        "answer to PEER_HOLEPUNCH": test_connecting.test_recorded_holepunch_message,
        "payload_decoded": test_connecting.test_payload_of_a_recorded_holepunch_message_opens_and_seals,
        "answer to FIND_PEER": test_messages.test_peer_record_is_what_node_sends,
        "answer to LOOKUP": test_messages.test_lookup_reply_is_what_node_sends,
        "value of ANNOUNCE": test_messages.test_announce_is_what_node_sends,
        "value of UNANNOUNCE": test_messages.test_announce_is_what_node_sends,
        "value of MUTABLE_PUT": test_messages.test_mutable_put_is_what_node_sends,
        "value of MUTABLE_GET": test_messages.test_minimum_seq_is_what_node_sends,
        "answer to MUTABLE_GET": test_messages.test_mutable_value_is_what_node_sends,
        "value of PLUGIN": test_messages.test_plugin_request_is_what_node_sends,
    },
    "hyperdht_messages.json": {
        "handshake": test_connecting.test_recorded_handshake_message,
        "holepunch": test_connecting.test_recorded_holepunch_message,
        "noisePayload": test_connecting.test_recorded_noise_payload,
        "holepunchPayload": test_connecting.test_recorded_holepunch_payload,
        "securePayload": test_connecting.test_recorded_secure_payload_opens_and_seals,
        "holepunchToken": test_connecting.test_recorded_token,
        "noiseHandshakeIK": test_connecting.test_recorded_handshake_with_its_payloads,
        "peer": test_messages.test_peer_record_is_what_node_sends,
        "peers": test_messages.test_list_of_peers_reads_as_a_lookup_reply_of_an_old_node,
        "lookupRawReply": test_messages.test_lookup_reply_is_what_node_sends,
        "announce": test_messages.test_announce_is_what_node_sends,
        "mutableSignable": test_messages.test_signed_part_of_a_mutable_value_is_what_node_signs,
        "mutablePutRequest": test_messages.test_mutable_put_is_what_node_sends,
        "mutableGetRequest": test_messages.test_minimum_seq_is_what_node_sends,
        "mutableGetResponse": test_messages.test_mutable_value_is_what_node_sends,
        "pluginRequest": test_messages.test_plugin_request_is_what_node_sends,
        "hyperdht-address": test_messages.test_peer_address_is_what_node_writes,
        "blindRelayPair": test_server.test_messages_are_encoded_as_in_node,
        "blindRelayUnpair": test_server.test_messages_are_encoded_as_in_node,
    },
    "ids.json": {
        "node_id": test_ids.test_id_is_the_hash_of_the_address,
        "bucket_index": test_ids.test_row_index_is_the_number_of_shared_leading_bits,
        "closest": test_ids.test_closest_come_in_the_order_of_the_reference,
        "token": test_tokens.test_token_is_the_keyed_hash_of_the_host,
        "token_rotation": test_tokens.test_secrets_rotate_as_in_the_reference,
    },
    "nat.json": {
        "nat_sampler": test_sampler.test_recorded_samples_lead_to_the_recorded_addresses,
        "holepunch_nat": test_classifier.test_recorded_samples_lead_to_the_recorded_verdicts,
        "address_class": test_address.test_recorded_host_is_of_the_recorded_class,
        "match_address": test_address.test_recorded_match_is_found,
    },
    "noise_dh.json": {
        "shared point": test_noise.test_recorded_shared_point,
        "bad point": test_noise.test_recorded_bad_point_is_refused,
    },
    "noise_ik.json": {"IK": test_noise.test_recorded_handshake_is_reproduced_byte_for_byte},
    "noise_xx.json": {"XX": test_noise.test_recorded_handshake_is_reproduced_byte_for_byte},
    "protomux.json": {"scenario": test_protomux.test_recorded_frames_decode_and_encode_to_the_same_bytes},
    "secret_stream.json": {
        "stream": test_recorded_streams.test_recorded_stream_is_reproduced_byte_for_byte,
        "unordered_messages": test_recorded_streams.test_recorded_unordered_messages_are_reproduced_byte_for_byte,
        "bad frame": test_recorded_streams.test_recorded_protocol_error_is_refused,
    },
    "signatures.json": {
        "namespaces": test_signatures.test_namespaces_are_those_of_node,
        "key_pair": test_keys.test_pair_from_a_seed_is_the_one_node_makes,
        "hash": test_signatures.test_hash_is_that_of_node,
        "announce": test_signatures.test_announce_signature_is_that_of_node,
        "unannounce": test_signatures.test_announce_signature_is_that_of_node,
        "mutable_put": test_signatures.test_mutable_signature_is_that_of_node,
        "immutable_put": test_signatures.test_target_of_an_immutable_value_is_its_hash,
        "refresh_chain": test_signatures.test_refresh_chain_of_node_is_one_here,
    },
    "udx_packets.json": {
        "hello_end": test_recorded.test_hello_end_is_spoken_like_node,
        "write_and_end_combined": test_recorded.test_last_bytes_and_end_share_a_packet_like_in_node,
        "messages": test_recorded.test_messages_are_spoken_like_node,
        "destroy": test_recorded.test_destroy_is_spoken_like_node,
        "keepalive": test_recorded_answers.test_heartbeats_of_an_idle_node_are_answered_like_by_node,
        "seq_start_and_wrap": test_recorded.test_numbers_wrap_like_in_node,
        "bulk_60k_lossy_sack": test_recorded.test_sack_blocks_of_the_recorded_transfer_lead_to_the_recorded_holes,
        "mtu_probes": test_recorded.test_recorded_mtu_probes_are_read_without_their_padding,
        "relay": test_forwarding.test_recorded_conversation_is_forwarded_as_node_forwards_it,
        "early_data_dropped_firewall": (
            test_recorded_answers.test_early_data_that_the_firewall_refuses_is_sent_again_like_in_node
        ),
        "early_data_firewall_accept": (test_recorded_answers.test_early_data_is_acknowledged_at_connect_like_in_node),
        "change_remote": test_recorded_answers.test_a_changed_remote_takes_over_from_the_old_one_as_in_node,
        "black_hole_10_bytes": (test_recorded_answers.test_a_black_hole_is_tried_and_given_up_at_the_recorded_times),
        "zero_window": test_recorded_answers.test_a_zero_window_is_probed_at_the_recorded_times,
        "zero_window_reopened_unsolicited": (test_recorded_answers.test_a_window_reopened_unasked_is_used_at_once),
        "receiver_edge_cases": (test_recorded_answers.test_a_receiver_answers_every_recorded_edge_case_like_node),
        "end_edge_cases": test_recorded_answers.test_a_receiver_treats_every_recorded_end_like_node,
    },
}


def checked_by(check: Check) -> list[Case]:
    """The cases that a test is parametrised with."""
    marks: list[pytest.Mark] = getattr(check, "pytestmark", [])
    parameters: list[Any] = [value for mark in marks if mark.name == "parametrize" for value in mark.args[1]]
    return [parameter.values[0] for parameter in parameters]


@pytest.mark.parametrize("file", sorted(path.name for path in VECTORS.iterdir()))
def test_every_recorded_case_is_checked(file: str) -> None:
    checks = CHECKS[file]
    found = {content for case in cases(file) for content in contents(file, case)}
    assert found == checks.keys()
    for content, check in checks.items():
        checked = {id(case) for case in checked_by(check)}
        left = [case for case in cases(file) if content in contents(file, case) and id(case) not in checked]
        assert left == []
