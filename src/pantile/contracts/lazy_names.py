"""Names of a package that load their module on first use: who reads one file of a room does not pay for all of it."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: its ``__name__``.
        homes: name -> the module within the package that has it. No module may have the name of something else here:
            once imported, it would hide it.

    >>> __getattr__, __dir__ = lazy_names(__name__, {"merge": "merging"})
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: sorted(homes)
