"""The block that runs a node of it: sockets and tasks, questions, dials and listening keys. See `swarm.dht.dht.DHT`."""
