"""Blind relays: both peers connect to a third one that forwards their packets, and can read none of them."""
