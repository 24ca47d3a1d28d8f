"""VideoScore: the results of all measures on a set of videos."""

from dataclasses import dataclass
from typing import Any

from pantile.score.video.layouts import Coverage


@dataclass(frozen=True)
class VideoScore:
    """
    Attributes:
        title: of the data set.
        results: measure ("stq", "vpq", "miou", "vc" or "ap") -> its result, fractions of 1.
        coverage: what was scored and what was missing.
    """

    title: str
    results: dict[str, Any]
    coverage: Coverage

    def to_dict(self) -> dict:
        """The groups of all results, and how many videos and frames there were; NaN becomes None."""
        content: dict = {}
        for result in self.results.values():
            content |= result.to_dict()
        coverage = self.coverage
        return content | {
            "videos": {
                "scored": len(coverage.videos),
                "without_prediction": len(coverage.missing_videos),
                "unknown": len(coverage.unknown_videos),
            },
            "frames": {
                "scored": coverage.frames,
                "without_prediction": len(coverage.missing_frames),
                "unknown": len(coverage.unknown_frames),
            },
        }
