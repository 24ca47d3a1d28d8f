"""``scenes``, ``scenes:N``, ``video-scenes:frames=T`` and so on: generated data by a text, as ``--data`` takes it."""

from pantile.contracts.errors import UserError
from pantile.data.scenes import Scenes
from pantile.data.video_scenes import VideoScenes
from pantile.data.vocabulary_scenes import VocabularyScenes

SCENES, VIDEO_SCENES = "scenes", "video-scenes"
IMAGES, VIDEOS, FRAMES, SIZE = 1000, 100, 16, 257
#: of each source: what a number alone means, the other settings, and how to write it
_KEYS = {SCENES: ("images", "classes", "size"), VIDEO_SCENES: ("videos", "frames", "size")}
FORMS = {
    SCENES: "scenes:N or scenes:images=N,classes=K,size=S, each of them optional, with whole numbers",
    VIDEO_SCENES: "video-scenes:N or video-scenes:videos=N,frames=T,size=S, each of them optional, with whole numbers",
}


def is_scenes(source: str) -> bool:
    return source.partition(":")[0] in _KEYS


def open_scenes(source: str, split: str) -> Scenes | VideoScenes | VocabularyScenes:
    """
    Args:
        source: ``scenes``, with settings after a colon, separated by commas: the number of images, alone or as
            ``images=N``, ``classes=K`` for a vocabulary of K classes, ``size=S`` for height and width. Or
            ``video-scenes``, with the number of videos, alone or as ``videos=N``, ``frames=T`` of each, ``size=S``.
        split: scenes of different splits share no image.

    Raises:
        UserError: another text, a setting twice, or a size or number of classes that there cannot be.
    """
    kind, _, text = source.partition(":")
    settings: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        key, is_named, value = part.rpartition("=")
        key = key if is_named else _KEYS[kind][0]
        if key not in _KEYS[kind] or key in settings or not (value.isascii() and value.isdigit()):
            raise UserError(f"{source!r} does not name a data set: write {FORMS[kind]}.")
        settings[key] = int(value)
    size = settings.get("size", SIZE)
    if kind == VIDEO_SCENES:
        return VideoScenes(settings.get("videos", VIDEOS), settings.get("frames", FRAMES), (size, size), split=split)
    images = settings.get("images", IMAGES)
    if "classes" in settings:
        return VocabularyScenes(images, settings["classes"], (size, size), split=split)
    return Scenes(images, (size, size), split=split)
