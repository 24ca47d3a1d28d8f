"""Scoring files that anybody wrote: every label format that is read, worker processes, and all numbers at once."""

from pantile.score.result import Score
from pantile.score.run import Job, score, usable_cores
from pantile.score.sources import CocoMaps, LabelPngs, MapSource, open_predictions, open_truth

__all__ = [
    "CocoMaps",
    "Job",
    "LabelPngs",
    "MapSource",
    "Score",
    "open_predictions",
    "open_truth",
    "score",
    "usable_cores",
]
