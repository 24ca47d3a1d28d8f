"""What is known about the things of a data set, beside PQ: their pixels, and how often they are confused."""

from dataclasses import dataclass

from pantile.metrics.thing_confusion import THRESHOLDS, ThingConfusion
from pantile.metrics.thing_pixels import ThingPixels
from pantile.metrics.without_nan import without_nan


@dataclass  # torchmetrics refuses frozen ones
class ThingQualityResult:
    """Sums over images; every fraction divides once.

    Attributes:
        pixels: right, wrong and true pixels.
        confusion: predicted segments that cover several things.
    """

    pixels: ThingPixels
    confusion: ThingConfusion

    @property
    def accuracy(self) -> float:
        """Pixel accuracy, 0..1; NaN without ground-truth things."""
        return self.pixels.accuracy

    @property
    def precision(self) -> float:
        """Pixel precision, 0..1; NaN without predicted things."""
        return self.pixels.precision

    @property
    def curve(self) -> tuple[float, ...]:
        """The share of confused segments at each of ``THRESHOLDS``, 0..1, falling; NaN without predicted things."""
        return self.confusion.curve

    def to_dict(self) -> dict:
        """``{"thing_pixels": {"accuracy", "precision", "tp", "fp", "truth"}, "thing_confusion": {"segments",
        "share_at_percent"}}`` in plain containers, as ``pantile score`` writes them; NaN becomes None."""
        pixels = {"accuracy": self.accuracy, "precision": self.precision, **self.pixels._asdict()}
        shares = {str(t): share for t, share in zip(THRESHOLDS, self.curve, strict=True)}
        confusion = {"segments": self.confusion.segments, "share_at_percent": shares}
        return without_nan({"thing_pixels": pixels, "thing_confusion": confusion})
