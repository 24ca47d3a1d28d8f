"""PASCAL-Context of 59 classes: its layout, in which background is a class of 60, with background as void."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from pantile.data.layouts import LAYOUTS
from pantile.data.pascal_context import PascalContext
from pantile.labels.datasets import open_layout
from pantile.labels.registry import register_reader
from pantile.labels.source import LabelSource, ReadOptions


@register_reader("pascal-context-59", options=())
def open_pascal_context_59(src: Path, options: ReadOptions) -> LabelSource:
    """
    Raises:
        UserError: a missing split or file.
    """
    layout = replace(LAYOUTS["pascal-context"], open=partial(PascalContext, classes=59))
    return open_layout(layout, src, options)
