"""Videos: which frames of a data set belong together, and what is predicted for frames that do.

Everything about a single frame is as for an image: ``PanopticMap``, ``PanopticTargets``, ``MaskOutput`` and
``Prediction`` know a video by this alone, that an id (a row, a query) is the same thing in all of its frames. A film of
any length is a stream of ``Prediction``; a clip, predicted as a whole, is a ``VideoPrediction``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pantile.contracts.predictions import Prediction


@dataclass(frozen=True)
class Video:
    """One video of a data set whose samples are frames.

    Attributes:
        name: unique in the data set, such as the folder of its frames.
        frames: positions in the data set, in order of time. Only frames with labels are samples, so neighbours may lie
            some time apart (every fifth frame in Cityscapes-VPS).
    """

    name: str
    frames: Sequence[int]

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class TrackedInstance:
    """One predicted thing of a video, as YouTube-VIS measures it. Instances may overlap.

    Attributes:
        class_index: of a thing class of the taxonomy, one for the whole video.
        score: confidence; orders the predictions for average precision.
        masks: T entries, COCO run-length encodings ``{"size": [H, W], "counts": bytes}``; None where it is not seen.
    """

    class_index: int
    score: float
    masks: tuple[dict | None, ...]


@dataclass(frozen=True)
class VideoPrediction:
    """Everything that a model says about T frames, each of H x W pixels.

    Attributes:
        frames: T entries. An id of ``panoptic`` is the same segment in all frames that have it; ``instances`` of the
            frames are None. The class of an id may differ between frames where frames were classified one by one:
            metrics take it as they do (STQ counts another class as another track).
        instances: for average precision of videos; None where it was not asked for.
    """

    frames: tuple[Prediction, ...]
    instances: tuple[TrackedInstance, ...] | None = None

    def __len__(self) -> int:
        return len(self.frames)
