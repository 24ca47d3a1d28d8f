"""Labels of other tools and data sets to and from panoptic maps: one file per format, one loop for all."""

from pantile.labels.convert import ConvertOptions, convert
from pantile.labels.registry import FORMATS, Format
from pantile.labels.report import Report
from pantile.labels.source import ReadOptions

__all__ = ["FORMATS", "ConvertOptions", "Format", "ReadOptions", "Report", "convert"]
