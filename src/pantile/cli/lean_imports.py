"""Imports that no verb uses are left out of the process of a verb."""

import importlib
import importlib.metadata

_UNUSED = "transformers"  # torchmetrics imports all of it for BERTScore, a second of every start


def import_torchmetrics() -> None:
    """Before anything that imports Lightning: torchmetrics as it is where transformers are not installed.

    Only for processes of our own: a program that uses Pantile as a library may want the metrics of texts.
    """
    find = importlib.metadata.distribution

    def find_what_is_used(name: str) -> importlib.metadata.Distribution:
        if name == _UNUSED:
            raise importlib.metadata.PackageNotFoundError(name)
        return find(name)

    importlib.metadata.distribution = find_what_is_used
    try:
        importlib.import_module("torchmetrics")
    finally:
        importlib.metadata.distribution = find
