"""``python -m swarm.cli``: the command ``swarm`` where its script is not on the path."""

from __future__ import annotations

from swarm.cli import main

main(prog_name="swarm")
