"""The Kademlia core, which speaks dht-rpc: who is where, and asking ever closer nodes. Pure. It knows no topics."""
