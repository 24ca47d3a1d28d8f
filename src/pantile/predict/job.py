"""The folder that a job writes, and its log: one line per finished image, so that an interrupted job can go on.

::

    out/annotations/panoptic_predictions.json      written last
    out/annotations/panoptic_predictions.jsonl     the log: first what the job is, then a line per finished image
    out/annotations/panoptic_predictions/*.png     id = R + 256 G + 65536 B, 0 is void
    out/overlays/*.jpg
    out/geotiff/*.tif                              of images with a place on the Earth
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.predict.images import ImageFile

SPLIT = "predictions"


@dataclass(frozen=True)
class Done:
    """A finished image.

    Attributes:
        name: of the image in the predictions.
        stamp: [bytes, nanoseconds] of the image file: its size and when it was last changed.
        png_bytes: size of its PNG.
        image, annotation: its rows of the JSON.
        placed: a GeoTIFF was written, too.
    """

    name: str
    stamp: list[int]
    png_bytes: int
    image: dict
    annotation: dict
    placed: bool = False


@dataclass
class Log:
    """
    Attributes:
        settings: what decides a prediction, in plain containers.
        ids: name of every image of the job, in its order, to its id.
        done: by name.
    """

    settings: dict
    ids: dict[str, int | str] = field(default_factory=dict)
    done: dict[str, Done] = field(default_factory=dict)


class JobFolder:
    """Paths of one job, and what is there already."""

    def __init__(self, out: Path) -> None:
        self.out = out
        annotations = out / "annotations"
        self.json = annotations / f"panoptic_{SPLIT}.json"
        self.maps = annotations / f"panoptic_{SPLIT}"
        self.drawn = out / "overlays"
        self.placed = out / "geotiff"

    @property
    def written(self) -> tuple[Path, ...]:
        """Folders in which no image of a job is looked for."""
        return self.json.parent, self.drawn, self.placed

    def log(self, rank: int = 0) -> Path:
        """Every process has its own; the first one's also says what the job is."""
        return self.json.with_suffix(f".{rank}.jsonl" if rank else ".jsonl")

    def png(self, stem: str) -> Path:
        return self.maps / f"{stem}.png"

    def overlay(self, stem: str) -> Path:
        return self.drawn / f"{stem}.jpg"

    def geotiff(self, stem: str) -> Path:
        return self.placed / f"{stem}.tif"

    def pngs(self) -> list[Path]:
        return sorted(self.maps.rglob("*.png")) if self.maps.is_dir() else []

    def refuse_existing(self) -> None:
        """
        Raises:
            UserError: there are predictions.
        """
        pngs = self.pngs()
        if pngs or self.json.exists():  # a log alone is of a job that finished nothing
            raise UserError(
                f"{self.out} holds predictions of an earlier run ({len(pngs)} images): --resume goes on with it, "
                "--overwrite replaces it, or name another --out."
            )

    def clear(self) -> None:
        """Removes what an earlier job wrote: its JSON, logs, PNGs and what belongs to them. Other files stay."""
        self.json.unlink(missing_ok=True)
        self._remove_logs()
        for png in self.pngs():
            self.remove(png.relative_to(self.maps).with_suffix("").as_posix())

    def remove(self, stem: str) -> None:
        """What was written of an image."""
        for path in (self.png(stem), self.overlay(stem), self.geotiff(stem)):
            path.unlink(missing_ok=True)

    def start(self, log: Log) -> None:
        """Writes the log anew, as one file."""
        rows = [json.dumps({"settings": log.settings, "ids": log.ids}), *map(_line, log.done.values())]
        with replacing(self.log()) as temporary:
            temporary.write_text("\n".join(rows) + "\n", encoding="utf-8")
        self._remove_logs(keep=self.log())

    def append(self, done: Done, rank: int) -> None:
        """In one piece, at once: an interruption leaves whole lines, or at worst half a line at the end."""
        with self.log(rank).open("a", encoding="utf-8") as file:
            file.write(_line(done) + "\n")

    def read(self) -> Log | None:
        """What an earlier job left; None where there is nothing of any.

        Raises:
            UserError: predictions without a log, or with a damaged one.
        """
        if not self.log().exists():
            if self.json.exists() or self.pngs():
                raise UserError(
                    f"{self.out} holds predictions without their log {self.log().name}, so nothing tells what made "
                    "them: --overwrite replaces them, or name another --out."
                )
            return None
        try:
            first, *rows = self.log().read_text(encoding="utf-8").splitlines() or [""]
            header = json.loads(first)
            log = Log(header["settings"], header["ids"])
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.log()} is damaged: start anew with --overwrite.") from None
        for path in self._logs():
            rows += path.read_text(encoding="utf-8", errors="replace").splitlines() if path != self.log() else []
        for row in rows:
            try:
                done = Done(**json.loads(row))
            except (ValueError, TypeError):
                continue  # the line that an interruption cut: its image is predicted again
            log.done[done.name] = done
        return log

    def is_done(self, done: Done, image: ImageFile, overlays: bool) -> bool:
        """Whether the image is the one that was predicted, and all that is wanted of it is there."""
        try:
            whole = self.png(image.stem).stat().st_size == done.png_bytes
            drawn = not overlays or self.overlay(image.stem).is_file()
            placed = not done.placed or self.geotiff(image.stem).is_file()
            return done.stamp == stamp_of(image.path) and whole and drawn and placed
        except (OSError, UserError):
            return False

    def _logs(self) -> list[Path]:
        return sorted(self.json.parent.glob(f"{self.json.stem}*.jsonl"))

    def _remove_logs(self, keep: Path | None = None) -> None:
        for path in self._logs():
            if path != keep:
                path.unlink()


def stamp_of(path: Path) -> list[int]:
    """
    Raises:
        UserError: the file is gone.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: restore the file.") from None
    return [status.st_size, status.st_mtime_ns]


def refuse_other_settings(found: dict, wanted: dict, out: Path) -> None:
    """
    Raises:
        UserError: the earlier job used other weights, classes or options; names the first that differs.
    """
    old, new = (_flat(json.loads(json.dumps(settings))) for settings in (found, wanted))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            said = f"other {name}" if name in ("weights", "classes", "like") else f"{name}={old.get(name)}"
            now = "" if name in ("weights", "classes", "like") else f", not {new.get(name)}"
            raise UserError(
                f"{out}: the predictions there were made with {said}{now}: resume with the same, replace them by "
                "--overwrite, or name another --out."
            )


def image_ids(images: Sequence[ImageFile], known: dict[str, int | str]) -> dict[str, int | str]:
    """COCO's own numbers where every file is named by one (000000142238.jpg), else 1, 2, ...

    Args:
        known: of an earlier job; they stay.
    """
    names = [*known, *(image.name for image in images if image.name not in known)]
    stems = [Path(name).stem for name in names]
    if all(stem.isascii() and stem.isdecimal() and len(stem) < 16 for stem in stems):
        numbers = list(map(int, stems))
        if len(set(numbers)) == len(numbers) and all(known.get(n, k) == k for n, k in zip(names, numbers, strict=True)):
            return dict(zip(names, numbers, strict=True))
    taken = set(known.values())
    free = (number for number in range(1, len(names) + len(taken) + 1) if number not in taken)
    return {name: known[name] if name in known else next(free) for name in names}


def strays(folder: JobFolder, names: Iterable[str]) -> list[str]:
    """PNGs beside those of ``names``, which the JSON does not mention."""
    own = {os.fspath(folder.png(name)) for name in names}
    return [png.relative_to(folder.maps).as_posix() for png in folder.pngs() if os.fspath(png) not in own]


def _line(done: Done) -> str:
    return json.dumps(asdict(done))


def _flat(settings: dict, prefix: str = "") -> dict:
    flat: dict = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat
