"""Parts from other installed packages, by the entry point group ``pantile.plugins``.

A package names a module in its ``pyproject.toml``, and importing that module registers its parts::

    [project.entry-points."pantile.plugins"]
    my_parts = "my_package.parts"

A plugin that cannot be imported is named in a warning and left out with everything that it had registered.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pantile.contracts.errors import UserError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

    from pantile.contracts.registry import Registry

GROUP = "pantile.plugins"

#: (kind, name) -> "package version", of parts that were registered while a plugin was imported
_ORIGINS: dict[tuple[str, str], str] = {}
#: name of the imported package -> "package version", of plugins that may have been imported before by somebody else
_PACKAGES: dict[str, str] = {}
_loaded = False


def entry_points(group: str) -> "EntryPoints":
    """Of all packages; its reader is imported here, because whoever only loads a network needs no plugin."""
    from importlib import metadata

    return metadata.entry_points(group=group)


def load_plugins(registries: Sequence["Registry"]) -> None:
    """Imports every plugin, once a process."""
    global _loaded
    if _loaded:
        return
    _loaded = True  # first: a plugin may read registries while it is imported
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _load(entry, registries)


def origin_of(registry: "Registry", name: str) -> str | None:
    """``package version`` of the plugin that a part is of; None for others."""
    module = registry.foreign().get(name, "")
    return _ORIGINS.get((registry.kind, name)) or _PACKAGES.get(module.partition(".")[0])


def check_installed(requirements: dict[str, str], source: str) -> None:
    """Refuses what was made with plugins that are missing here.

    Args:
        requirements: of ``required``.
        source: what states them, for the message.

    Raises:
        UserError: names the packages.
    """
    here = {entry.dist.name for entry in entry_points(group=GROUP) if entry.dist is not None}
    missing = {package: parts for package, parts in requirements.items() if package.partition(" ")[0] not in here}
    if missing:
        told = "; ".join(f"{package} ({parts})" for package, parts in missing.items())
        raise UserError(f"{source} needs parts of packages that are not installed: {told}. Install them first.")


def required(parts: Sequence[tuple["Registry", str]]) -> dict[str, str]:
    """{"package version": "architecture 'a', technique 'b'"} of the parts that come from plugins."""
    found: dict[str, list[str]] = {}
    for registry, name in parts:
        if origin := origin_of(registry, name):
            found.setdefault(origin, []).append(f"{registry.kind} {name!r}")
    return {origin: ", ".join(names) for origin, names in found.items()}


def _load(entry: "EntryPoint", registries: Sequence["Registry"]) -> None:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.module
    before = {(registry.kind, name) for registry in registries for name in registry.foreign()}
    broken = False
    try:
        importlib.import_module(entry.module)
    except Exception as error:  # whatever somebody else's module raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(f"the plugin {entry.name!r} of {package} is left out ({reason}).", stacklevel=2)
        broken = True
    else:
        _PACKAGES.setdefault(entry.module.partition(".")[0], package)
    for registry in registries:
        for name, module in registry.foreign().items():
            if (registry.kind, name) in before:
                continue
            if broken:
                registry.remove(name)
                sys.modules.pop(module, None)  # who imports it again registers its parts again
            else:
                _ORIGINS[registry.kind, name] = package
