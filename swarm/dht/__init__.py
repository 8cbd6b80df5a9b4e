"""The Hyperswarm DHT: who is where, and the signals that bring two peers together."""
