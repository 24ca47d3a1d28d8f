"""``scenes``, ``scenes:N``, ``scenes:classes=K`` and so on: generated scenes by a text, as ``--data`` takes them."""

from pantile.contracts.errors import UserError
from pantile.data.scenes import Scenes
from pantile.data.vocabulary_scenes import VocabularyScenes

SCENES = "scenes"
IMAGES, SIZE = 1000, 257
FORMS = "scenes:N or scenes:images=N,classes=K,size=S, each of them optional, with whole numbers"


def is_scenes(source: str) -> bool:
    return source == SCENES or source.startswith(f"{SCENES}:")


def open_scenes(source: str, split: str) -> Scenes | VocabularyScenes:
    """
    Args:
        source: ``scenes``, with settings after a colon, separated by commas: the number of images, alone or as
            ``images=N``, ``classes=K`` for a vocabulary of K classes, ``size=S`` for height and width.
        split: scenes of different splits share no image.

    Raises:
        UserError: another text, a setting twice, or a size or number of classes that there cannot be.
    """
    settings: dict[str, int] = {}
    for part in filter(None, source.partition(":")[2].split(",")):
        key, is_named, value = part.rpartition("=")
        key = key if is_named else "images"
        if key not in ("images", "classes", "size") or key in settings or not (value.isascii() and value.isdigit()):
            raise UserError(f"{source!r} does not name a data set: write {FORMS}.")
        settings[key] = int(value)
    images, size = settings.get("images", IMAGES), settings.get("size", SIZE)
    if "classes" in settings:
        return VocabularyScenes(images, settings["classes"], (size, size), split=split)
    return Scenes(images, (size, size), split=split)
