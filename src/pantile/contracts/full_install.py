"""What an install for exported models alone leaves out, told where it is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

#: top-level packages that ``pip install pantile`` alone, or with the extra ``runtime``, leaves out
OF_FULL_INSTALL = {"torch", "torchvision", "timm", "lightning", "torchmetrics", "scipy", "pydantic", "yaml", "rich"}
OF_FULL_INSTALL |= {"matplotlib", "jinja2", "safetensors", "tensorboard", "pycocotools", "faster_coco_eval"}


def remedy(error: ModuleNotFoundError, who: str) -> str | None:
    """One sentence where the full install has what is missing; None where it is something else."""
    package = (error.name or "").partition(".")[0]
    if package not in OF_FULL_INSTALL:
        return None
    return f"{who} needs {package}: install it with `pip install 'pantile[full]'`."


@contextmanager
def needs_full_install(who: str) -> Iterator[None]:
    """
    Raises:
        ImportError: in the block a package of the full install is missing; says how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (sentence := remedy(error, who)) is None:
            raise
        raise ImportError(sentence, name=error.name) from None
