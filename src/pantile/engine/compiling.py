"""``training.compile``: training steps run the network through ``torch.compile``, everything else runs it as it is.

Crops have one size, so one compilation serves all steps; images of a validation differ, and each size would be
compiled anew. Weights keep their names, so checkpoints and averages of a compiled run are those of any other.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def compile_network(network: nn.Module) -> None:
    """In place. The first step then takes minutes, on a CPU as on a GPU."""
    network.compile()


@contextmanager
def as_it_is(compiled: bool) -> Iterator[None]:
    """Runs a network that was compiled without its compilation.

    Args:
        compiled: False does nothing, and does not import the compiler, which takes a second.
    """
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
