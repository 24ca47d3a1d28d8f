"""Packages that only some conversions need."""

import importlib
from types import ModuleType

from pantile.contracts.errors import UserError

EXTRA = "hf"


def require(package: str, version: int = 0) -> ModuleType:
    """Imports a package of the extra.

    Args:
        version: the oldest major version that will do.

    Raises:
        UserError: it is not installed or too old; names the extra.
    """
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise UserError(
            f"{package} is not installed ({error}); install the extra: pip install 'pantile[{EXTRA}]'."
        ) from None
    if int(module.__version__.partition(".")[0]) < version:
        raise UserError(
            f"{package} {module.__version__} is too old, version {version} is needed; install the extra: "
            f"pip install --upgrade 'pantile[{EXTRA}]'."
        )
    return module
