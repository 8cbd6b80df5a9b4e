"""What HyperDHT adds to it: records and values, announcing, and signals on their way between peers. Pure."""
