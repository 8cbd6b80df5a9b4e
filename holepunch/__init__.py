"""One encrypted stream to a public key, whatever is in between. Knows keys, addresses, NATs and streams; no topics."""
