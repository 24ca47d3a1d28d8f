"""tune(): the thresholds of a merge that suit a split, and how much of their gain other images will see.

Each image goes through the network once. From its output, one threshold after the other takes the value with the best
panoptic quality, until a round changes nothing. Thresholds that were chosen on some images flatter themselves on these,
so the same search is made on each half of the images and measured on the other half.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pantile.contracts.errors import UserError
from pantile.data import PanopticDataset, first_images
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import override
from pantile.engine.devices import AUTO, device_named
from pantile.engine.evaluate import load_task, prepared
from pantile.inference.images import image_outputs
from pantile.inference.network import Network
from pantile.inference.tiles import plan_tiles
from pantile.inference.views import Views
from pantile.merge import merge
from pantile.merge.searched import Searched, searched
from pantile.metrics.comparison import compare_maps
from pantile.metrics.pair_counts import PairCounts
from pantile.metrics.quality import quality_of

ROUNDS = 3

#: field of ``config.merge`` -> its value
Settings = dict[str, Any]


@dataclass(frozen=True)
class Tuned:
    """
    Attributes:
        images: how many were looked at.
        before: PQ with the thresholds as they are, 0..1.
        after: PQ with ``settings``, on the images that they were chosen on.
        expected: PQ where each half of the images is merged as the other half would have it: what new images see.
        settings: the thresholds that differ now.
        tried: combinations of thresholds that were measured.
    """

    images: int
    before: float
    after: float
    expected: float
    settings: Settings
    tried: int


def tune(
    checkpoint: Checkpoint,
    dataset: PanopticDataset,
    candidates: Searched | None = None,
    limit: int | None = None,
    device: str = AUTO,
    tell: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """
    Args:
        dataset: labelled; of the checkpoint's classes.
        candidates: field of the merge's config to values; None is what the merge names itself.
        limit: only the first images.
        device: see ``device_named``.
        tell: hears what is done next, and what was found.

    Raises:
        UserError: a merge without such thresholds, a field or value that it does not take, or fewer than two images.
    """
    candidates = searched(checkpoint.config.merge) if candidates is None else candidates
    _check(checkpoint, candidates)
    images = first_images(prepared(checkpoint, dataset), limit)
    if len(images) < 2:
        raise UserError(f"{len(images)} image to tune on: give at least two, as each half is measured by the other.")
    task = load_task(checkpoint)
    network = task.to(device_named(device)).network
    with tempfile.TemporaryDirectory(prefix="pantile-") as folder:
        tell(f"{len(images)} images through the network")
        trials = Trials(network, _outputs(network, images, Path(folder)))
        everything = range(len(images))
        found = trials.search(candidates, everything, tell)
        tell("the same on each half of the images, measured on the other")
        halves = (everything[::2], everything[1::2])
        chosen = [trials.search(candidates, half) for half in halves]
        crosswise = [trials.counts(own, half) for own, half in zip(reversed(chosen), halves, strict=True)]
        return Tuned(
            len(images),
            trials.value({}, everything),
            trials.value(found, everything),
            _quality(counts for half in crosswise for counts in half),
            found,
            len(trials),
        )


class Trials:
    """What an image's segments came to under each combination of thresholds that was asked for; counted once.

    Args:
        network: whose merge the thresholds are of.
        files: what ``_outputs`` wrote of each image.
    """

    def __init__(self, network: Network, files: Sequence[Path]) -> None:
        self._network, self._files = network, files
        self._counts: dict[tuple, list[PairCounts]] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def counts(self, settings: Settings, images: Iterable[int]) -> list[PairCounts]:
        """Of chosen images."""
        key = tuple(sorted(self._changed(settings).items()))
        if key not in self._counts:
            config = replace(self._network.merge, **settings)
            self._counts[key] = [self._count(file, config) for file in self._files]
        return [self._counts[key][image] for image in images]

    def value(self, settings: Settings, images: Iterable[int]) -> float:
        """PQ over chosen images, 0..1."""
        return _quality(self.counts(settings, images))

    def search(
        self, candidates: Searched, images: Sequence[int], tell: Callable[[str], None] = lambda line: None
    ) -> Settings:
        """The thresholds that suit chosen images best, as far as they differ from the network's own.

        Of equal values the one that is set already stays.
        """
        best: Settings = {}
        most = self.value(best, images)
        idle = {name for name, values in candidates.items() if self._is_idle(name, values, images, most)}
        for _ in range(ROUNDS):
            before = best
            for name, values in candidates.items():
                for value in values if name not in idle else ():
                    tried = self._changed(best | {name: value})
                    if (quality := self.value(tried, images)) > most:
                        best, most = tried, quality
                        tell(f"PQ {100 * most:.1f} with {' '.join(assignments(best))}")
            if best == before:
                break
        return best

    def _is_idle(self, name: str, values: Sequence[float], images: Sequence[int], as_it_is: float) -> bool:
        """Whether a threshold decides nothing: its least and its greatest value change nothing."""
        return all(self.value({name: value}, images) == as_it_is for value in (values[0], values[-1]))

    def _changed(self, settings: Settings) -> Settings:
        return {name: value for name, value in settings.items() if getattr(self._network.merge, name) != value}

    def _count(self, file: Path, config: Any) -> PairCounts:
        output, placement, truth = torch.load(file, weights_only=False, map_location=self._network.device)
        (prediction,) = merge(output, self._network.taxonomy, config, [placement])
        (comparison,) = compare_maps(prediction.panoptic, truth)
        return comparison.counts


def assignments(settings: Mapping[str, Any]) -> list[str]:
    """As ``--set`` takes them."""
    return [f"merge.{name}={value}" for name, value in settings.items()]


def _outputs(network: Network, images: PanopticDataset, folder: Path) -> list[Path]:
    """Files of (output, placement, truth): outputs of a whole split are more than fits into memory."""
    files = []
    for index in range(len(images)):
        image, truth = images.load(index)
        placement = plan_tiles((image.shape[0], image.shape[1]), None, network.evaluation_size).placement
        (output,) = image_outputs(network, [image], [placement], Views())
        files.append(folder / f"{index}.pt")
        torch.save((output, placement, truth), files[-1])
    return files


def _quality(counts: Iterable[PairCounts]) -> float:
    """PQ of several images, as if they were one; 0 where none has a segment."""
    parts = list(counts)
    names = ("matches", "missed", "spurious", "ignored")
    together = PairCounts(*(tuple(item for part in parts for item in getattr(part, name)) for name in names))
    quality = quality_of(together)
    return 0.0 if math.isnan(quality) else quality


def _check(checkpoint: Checkpoint, candidates: Searched) -> None:
    config = checkpoint.config.merge
    if not candidates:
        raise UserError(
            f"{checkpoint.path}: merge.kind={config.kind} decides nothing about segments by thresholds, so there is "
            "nothing to tune."
        )
    for name, values in candidates.items():
        if name not in searched(config):
            raise UserError(
                f"merge.{name} is no threshold of merge.kind={config.kind} to tune: there are "
                f"{', '.join(f'merge.{known}' for known in searched(config))}."
            )
        for value in values:
            override(checkpoint.config, [f"merge.{name}={value}"])
