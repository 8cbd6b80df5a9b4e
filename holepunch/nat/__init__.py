"""What this side's address looks like from outside, and what kind of NAT makes it so."""
