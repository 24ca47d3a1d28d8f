"""Labels of other tools and data sets to and from panoptic maps: a file per format in ``formats``, one loop for all."""

from pantile.labels.convert import ConvertOptions, convert
from pantile.labels.registry import READERS, WRITERS, LabelReader, LabelWriter, readers, register_reader
from pantile.labels.report import Report
from pantile.labels.source import ReadOptions

__all__ = [
    "READERS",
    "WRITERS",
    "ConvertOptions",
    "LabelReader",
    "LabelWriter",
    "ReadOptions",
    "Report",
    "convert",
    "readers",
    "register_reader",
]
