"""What a person says of a conversion."""

from dataclasses import dataclass, field

from pantile.labels.recognition import AUTO
from pantile.labels.source import ReadOptions

VOID = "void"  # what pixels without label become, and what a tool's void is called


@dataclass(frozen=True)
class ConvertOptions:
    """
    Attributes:
        source: a name in ``readers()``, or ``"auto"`` for the one format that fits.
        target: a name in ``WRITERS``.
        read: what the source's files do not say.
        overlap: one of ``overlaps.RULES``.
        gap: what pixels without label become: ``"void"``, or the name of a stuff class; a new name adds a class.
        crowd_as_instances: classes whose crowd regions become instances; an empty tuple for all things, None for none.
        unreadable: what becomes of photos that the project cannot read: one of ``photo_survey.UNREADABLE``.
        link: hard-link the images instead of copying them, but for those that ``place_photo`` has to change.
        progress: show a progress bar.
        workers: processes; what is written does not depend on it. Only where the system can fork, and for writers that
            are ``CollectedRows``; others take one.
    """

    source: str = AUTO
    target: str = "coco-panoptic"
    read: ReadOptions = field(default_factory=ReadOptions)
    overlap: str = "error"
    gap: str = VOID
    crowd_as_instances: tuple[str, ...] | None = None
    unreadable: str = "error"
    link: bool = False
    progress: bool = False
    workers: int = 1
