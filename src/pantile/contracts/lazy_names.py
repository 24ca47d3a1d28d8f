"""What a room shows to others, loaded on first use: who asks for a config, a reader or a table does not import torch.

In the ``__init__.py`` of a room::

    __getattr__, __dir__, __all__ = lazy_names(__name__, {"scenes": ("Scenes",), "subset": ("Subset", "first_images")})
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    room: str, names: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a room.

    Args:
        room: its full name, such as "pantile.data".
        names: a module of the room to the names that are taken of it.

    Raises:
        ValueError: a name is a module's as well. Whoever imported that module first would get it in the name's place.
    """
    home = {name: module for module, some in names.items() for name in some}
    if both := sorted(set(home) & set(names)):
        raise ValueError(f"{room}: {', '.join(both)} cannot be loaded late, because a module is called so")

    def load(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{room}.{home[name]}"), name)

    return load, lambda: sorted(home), sorted(home)
