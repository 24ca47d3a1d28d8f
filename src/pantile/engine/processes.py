"""How many processes run this job, as ``torchrun`` (or nobody) says."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Processes:
    nodes: int
    per_node: int
    rank: int

    @property
    def total(self) -> int:
        return self.nodes * self.per_node


def processes() -> Processes:
    """Reads the variables that ``torchrun`` sets; one process without them."""
    total = int(os.environ.get("WORLD_SIZE", 1))
    per_node = int(os.environ.get("LOCAL_WORLD_SIZE", total))
    return Processes(max(1, total // per_node), per_node, int(os.environ.get("RANK", 0)))
