"""Which techniques a run uses: one optional config for each that is registered; None is off."""

from collections.abc import Iterator
from typing import Any

from pantile.techniques.base import TECHNIQUES


class TechniquesConfig:
    """An attribute for each name in ``TECHNIQUES``: its config, or None where it is off.

    ``--set techniques.reclass.eta=0.1`` switches one on, ``--set techniques.reclass=null`` off.
    """

    def __init__(self, **configs: Any) -> None:
        unknown = configs.keys() - set(TECHNIQUES)
        if unknown:
            raise TypeError(f"there is no technique {', '.join(sorted(unknown))}; known: {', '.join(TECHNIQUES)}")
        vars(self).update({name: configs.get(name) for name in sorted(TECHNIQUES)})

    def items(self) -> Iterator[tuple[str, Any]]:
        """Name and config of every technique, in the order in which they are applied: that of their names."""
        yield from vars(self).items()

    def __setattr__(self, name: str, config: Any) -> None:
        if name not in TECHNIQUES:
            raise AttributeError(f"there is no technique {name}; known: {', '.join(TECHNIQUES)}")
        vars(self)[name] = config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TechniquesConfig) and vars(self) == vars(other)

    __hash__ = None

    def __repr__(self) -> str:
        on = (f"{name}={config!r}" for name, config in self.items() if config is not None)
        return f"TechniquesConfig({', '.join(on)})"
