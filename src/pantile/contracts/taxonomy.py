"""Taxonomy: the ordered classes of a dataset, and the only source of class counts, ids and stuff lists."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pantile.contracts.clean_text import is_clean
from pantile.contracts.errors import UserError
from pantile.contracts.flags import as_flag
from pantile.contracts.shortening import short

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class ClassInfo:
    """One class of a dataset.

    Attributes:
        name: unique within the taxonomy.
        is_thing: True for a class with instances, False for stuff.
        id: the dataset's own category id (any integer >= 0); the class *index* is the position in the taxonomy.
        color: RGB, each 0..255.
    """

    name: str
    is_thing: bool
    id: int
    color: tuple[int, int, int]


@dataclass(frozen=True)
class Taxonomy:
    """An ordered tuple of classes. ``taxonomy.classes[k]`` is the class with index ``k`` in every tensor."""

    classes: tuple[ClassInfo, ...]

    def __post_init__(self) -> None:
        if not self.classes:
            raise UserError("The taxonomy has no classes: list at least one category.")
        for what, values in (("name", self.names), ("id", [c.id for c in self.classes])):
            repeated = sorted(v for v, count in Counter(values).items() if count > 1)
            if repeated:
                raise UserError(f"The taxonomy uses the category {what} {short(repeated[0])} twice: make it unique.")

    @classmethod
    def from_coco(cls, categories: Iterable[dict], source: str = "categories") -> "Taxonomy":
        """Reads the ``categories`` list of a COCO-panoptic JSON; keeps its order.

        Args:
            categories: dicts with ``id``, ``name``, ``isthing`` and optionally ``color``.
            source: the file's name for error messages.
        """
        classes = []
        for position, category in enumerate(categories):
            if not isinstance(category, dict):
                raise UserError(f"{source}: category number {position} is not an object with id, name and isthing.")
            missing = [key for key in ("id", "name", "isthing") if key not in category]
            if missing:
                raise UserError(
                    f"{source}: category number {position} lacks the field {missing[0]!r}; "
                    "COCO-panoptic categories need id, name and isthing."
                )
            identifier, is_thing = category["id"], category["isthing"]
            where, name, flag = f"{source}: category number {position}", category["name"], as_flag(is_thing)
            if isinstance(identifier, bool) or not isinstance(identifier, int) or identifier < 0:
                raise UserError(f"{where} has the id {short(identifier)}: give a whole number.")
            if isinstance(name, bool) or not isinstance(name, str | int) or name == "" or not is_clean(str(name)):
                raise UserError(f"{where} has the name {short(name)}: give a text without control characters.")
            if flag is None:
                raise UserError(f"{where} has isthing {short(is_thing)}: write 1 or 0.")
            color = _color(category.get("color") or default_color(position), where)
            classes.append(ClassInfo(str(name), flag, identifier, color))
        if not classes:
            raise UserError(f"{source} names no class: list at least one category.")
        try:
            return cls(tuple(classes))
        except UserError as error:
            raise UserError(f"{source}: {error}") from None

    def to_coco(self) -> list[dict]:
        """The ``categories`` list of a COCO-panoptic JSON."""
        return [{"id": c.id, "name": c.name, "isthing": int(c.is_thing), "color": list(c.color)} for c in self.classes]

    def to_dict(self) -> dict:
        """Plain containers, safe for checkpoints that load with ``weights_only``."""
        return {"classes": [asdict(c) | {"color": list(c.color)} for c in self.classes]}

    @classmethod
    def from_dict(cls, data: dict) -> "Taxonomy":
        return cls(tuple(ClassInfo(**(c | {"color": tuple(c["color"])})) for c in data["classes"]))

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def num_classes(self) -> int:
        """K, without void and without no-object."""
        return len(self.classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @cached_property
    def index_of_id(self) -> dict[int, int]:
        """Dataset category id -> class index."""
        return {c.id: k for k, c in enumerate(self.classes)}

    @cached_property
    def thing_indices(self) -> tuple[int, ...]:
        return tuple(k for k, c in enumerate(self.classes) if c.is_thing)

    @cached_property
    def stuff_indices(self) -> tuple[int, ...]:
        return tuple(k for k, c in enumerate(self.classes) if not c.is_thing)

    @cached_property
    def thing_flags(self) -> tuple[bool, ...]:
        """Per class."""
        return tuple(c.is_thing for c in self.classes)

    def is_thing(self, device: "torch.device | str" = "cpu") -> "Tensor":
        """(K,) bool."""
        import torch  # here, because files are scored, and exported networks run, without it

        return torch.tensor(self.thing_flags, device=device)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when a name, the order or a thing flag changes: what a checkpoint depends on."""
        text = "|".join(f"{c.name}:{int(c.is_thing)}" for c in self.classes)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _color(color: Sequence, where: str) -> tuple[int, int, int]:
    sound = isinstance(color, list | tuple) and len(color) == 3 and all(part in range(256) for part in color)
    if not sound:
        raise UserError(f"{where} has the color {short(color)}: give three whole numbers from 0 to 255, or none.")
    red, green, blue = map(int, color)
    return red, green, blue


def default_color(position: int) -> tuple[int, int, int]:
    """A distinct colour for a class that comes without one: hues by the golden angle. RGB, 0..255."""
    import colorsys

    hue = (position * 0.618033988749895) % 1.0
    value = (0.95, 0.75, 0.85)[position % 3]
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.65, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def plain_taxonomy(names: Sequence[str], things: Iterable[str]) -> Taxonomy:
    """A taxonomy from names alone; dataset ids count from 1 in the given order."""
    things = set(things)
    return Taxonomy(tuple(ClassInfo(name, name in things, k + 1, default_color(k)) for k, name in enumerate(names)))
