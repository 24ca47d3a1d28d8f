"""Registry: the parts of one kind by name, the package's own and those of other installed packages.

A part registers itself where it is written, with a decorator::

    @ARCHITECTURES.register("kmax")
    class KMaXDeepLab(nn.Module): ...

The registry finds its own parts by importing the modules of its room when somebody first reads it; then the plugins
(``contracts.plugins``). So a new part is one new file, here or in somebody else's package, and nothing pays for what it
does not read. Modules whose source has neither ``REGISTRY.register`` nor a decorator ``register_...(`` are left alone:
those of training in the room of data would import torch for who only reads labels.
"""

import difflib
import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from pantile.contracts.errors import UserError
from pantile.contracts.plugins import load_plugins
from pantile.contracts.shortening import short

Part = TypeVar("Part")

#: what a module that registers a part has in its source
_REGISTERS = re.compile(r"[A-Z\]]\.register|\bregister_\w+\(")

#: every registry, to undo what a plugin registered before it broke
_ALL: list["Registry"] = []


class Registry(Mapping[str, Part], Generic[Part]):
    """
    Args:
        kind: what a part is, in the words of messages: "architecture".
        room: the package whose modules hold the built-in parts, such as "pantile.models".
        where: how a user lists them, for messages.
    """

    def __init__(self, kind: str, room: str, where: str = "") -> None:
        self.kind = kind
        self.where = where
        self._room = room
        self._parts: dict[str, Part] = {}
        self._homes: dict[str, str] = {}  # name -> the module that registered it
        self._complete = False
        _ALL.append(self)

    def register(self, name: str, home: str | None = None) -> Callable[[Part], Part]:
        """A decorator that adds a part.

        Args:
            home: the module that the part is of, where that is not the one that calls; see ``calling_module``.

        Raises:
            UserError: the name is taken, when the decorator is applied.
        """
        home = home or calling_module()

        def add(part: Part) -> Part:
            self._add(name, part, home)
            return part

        return add

    def register_all(self, parts: Mapping[str, Part]) -> None:
        """A table of parts, for those that are made rather than written."""
        home = calling_module()
        for name, part in parts.items():
            self._add(name, part, home)

    def _add(self, name: str, part: Part, home: str) -> None:
        if _package(home) != _package(__name__):
            self._read_room()  # first: the name of a built-in part is taken, whoever is imported first
        if name in self._parts:
            raise UserError(
                f"The {self.kind} {name!r} of {home} has the name of one in {self._homes[name]}: give it another."
            )
        self._parts[name] = part
        self._homes[name] = home

    def find(self, name: str, field: str = "") -> Part:
        """The part of this name.

        Args:
            field: that holds the name, for the message.

        Raises:
            UserError: there is none; suggests the nearest, and names the others where they are few.
        """
        if name in self:
            return self[name]
        near = difflib.get_close_matches(str(name), self, n=1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = self.where or f"choose one of {', '.join(sorted(self))}."
        there = f"{field}: there" if field else "There"
        raise UserError(f"{there} is no {self.kind} {short(name)}; {hint}")

    def home(self, name: str) -> str:
        """The module that registered a part."""
        self._all()
        return self._homes[name]

    def foreign(self) -> dict[str, str]:
        """Names registered from outside this package, as far as they are registered yet, and the modules that did."""
        return {name: home for name, home in self._homes.items() if _package(home) != _package(__name__)}

    def remove(self, name: str) -> None:
        del self._parts[name], self._homes[name]

    def __getitem__(self, name: str) -> Part:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, Part]:
        self._read_room()
        load_plugins(_ALL)
        return self._parts

    def _read_room(self) -> None:
        if self._complete:
            return
        self._complete = True  # first: modules that are imported now may read this registry
        try:
            room = importlib.import_module(self._room)
            for module in sorted(f"{self._room}.{found.name}" for found in pkgutil.iter_modules(room.__path__)):
                if _may_register(module):
                    importlib.import_module(module)
        except BaseException:  # such as Ctrl-C: the next reader must not take what there is for all
            self._complete = False
            raise


def calling_module() -> str:
    """The module from which the function that asks was called: for decorators around ``Registry.register``."""
    return sys._getframe(2).f_globals["__name__"]


def _may_register(module: str) -> bool:
    """By its source, or because it has none or has modules of its own."""
    spec = importlib.util.find_spec(module)
    source = None if spec.submodule_search_locations else spec.loader.get_source(module)
    return source is None or _REGISTERS.search(source) is not None


def _package(module: str) -> str:
    return module.partition(".")[0]
