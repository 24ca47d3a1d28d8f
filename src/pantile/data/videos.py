"""Videos of a data set: which of its samples are frames of one video."""

from pantile.contracts.errors import UserError
from pantile.contracts.videos import Video
from pantile.data.dataset import PanopticDataset


def has_videos(dataset: PanopticDataset) -> bool:
    """Whether samples are frames of videos, with ids that are the same over them."""
    return hasattr(dataset, "videos")


def videos_of(dataset: PanopticDataset) -> tuple[Video, ...]:
    """The videos of a data set that has some.

    Raises:
        UserError: it is a data set of images.
    """
    if not has_videos(dataset):
        raise UserError(
            "The data is a set of single images, but clips need videos: give a data set of videos, or video-scenes."
        )
    return tuple(dataset.videos)
