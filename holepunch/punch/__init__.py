"""From a public key to a path that carries packets both ways: handshakes through the DHT, and hole punching. Pure."""
