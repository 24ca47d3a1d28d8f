"""What only the frames of a video together show: ids that change their class, other sizes, frames without labels."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pantile.contracts.taxonomy import Taxonomy
from pantile.contracts.videos import Video
from pantile.data.dataset import PanopticDataset
from pantile.data.video_photos import VideoPhotos
from pantile.data.videos import videos_of
from pantile.labels.checks.findings import Finding
from pantile.labels.checks.pixels import ImageResult

SHOWN = 5  # names of frames in a finding


def check_videos(dataset: PanopticDataset, split: str, results: Sequence[ImageResult]) -> list[Finding]:
    """
    Args:
        dataset: one that has videos.
        split: its name.
        results: of its frames; what they say of empty frames is told of their videos instead, and goes.
    """
    unlabelled = dataset.unlabelled() if isinstance(dataset, VideoPhotos) else {}
    found = []
    for video in videos_of(dataset):
        frames = [results[index] for index in video.frames]
        place = f"{split}/{video.name}"
        found += _changed_classes(frames, place, dataset.taxonomy)
        found += _other_sizes(frames, place)
        found += _without_labels(frames, place, video, unlabelled.get(video.name, ()))
    return found


def _changed_classes(frames: Sequence[ImageResult], place: str, taxonomy: Taxonomy) -> list[Finding]:
    names = {info.id: info.name for info in taxonomy.classes}
    seen: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for frame in frames:
        for own, category, is_crowd in frame.tracks:
            seen[own][f"crowd of {names[category]}" if is_crowd else names[category]].append(_name(frame))
    found = []
    for own, classes in seen.items():
        if len(classes) > 1:
            told = ", and ".join(f"{name} in {_frames(where)}" for name, where in classes.items())
            found.append(Finding("class-changes", place, own, f"{told}; an id is one thing in its whole video"))
    return found


def _other_sizes(frames: Sequence[ImageResult], place: str) -> list[Finding]:
    """Held against the size that most frames have."""
    sizes = Counter(frame.size for frame in frames if frame.size is not None)
    if len(sizes) < 2:
        return []
    (usual, _), *others = sizes.most_common()
    told = ", ".join(
        f"{_frames([_name(frame) for frame in frames if frame.size == size])} of {size[1]}x{size[0]} pixels"
        for size, _ in others
    )
    return [Finding("frame-size", place, None, f"{told}, the others of {usual[1]}x{usual[0]}")]


def _without_labels(frames: Sequence[ImageResult], place: str, video: Video, images: Sequence[str]) -> list[Finding]:
    """Frames whose map is empty, and images beside them that are no frames because they have no map."""
    found = []
    empty = [frame for frame in frames if frame.pixels and not frame.segments]
    for frame in empty:
        frame.findings = [finding for finding in frame.findings if finding.kind != "empty-image"]
    for names, total, what in (
        ([_name(frame) for frame in empty], len(video), "without any segment"),
        (images, len(video) + len(images), "without a label"),
    ):
        if names:
            found.append(Finding("frames-unlabelled", place, None, f"{_frames(names)} of {total} {what}"))
    return found


def _name(frame: ImageResult) -> str:
    return frame.file.rpartition("/")[2]


def _frames(names: Iterable[str]) -> str:
    """``2 frames (a.png, b.png)``."""
    names = list(names)
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} frame{'s' * (len(names) != 1)} ({', '.join(names[:SHOWN])}{more})"
