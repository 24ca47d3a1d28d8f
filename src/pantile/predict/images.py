"""The images of a job: which files, what each is called in the predictions, and which cannot be used."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.data.image_suffixes import IMAGE_SUFFIXES

_RASTERS = {".tif", ".tiff"}  # of which Pillow knows only some; whoever decodes them tells
NAMED = 20  # so many bad images are told in full
_THREADS = 8


@dataclass(frozen=True)
class ImageFile:
    """
    Attributes:
        path: the file.
        name: its name in the predictions: below the given folder, with ``/``.
    """

    path: Path
    name: str

    @property
    def stem(self) -> str:
        """``a/x.jpg`` -> ``a/x``: what its PNG and overlay are called."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be used, and why, in one sentence that names the file."""

    name: str
    reason: str


def find_images(
    inputs: Iterable[str | Path], recursive: bool = False, leave_out: Sequence[Path] = ()
) -> list[ImageFile]:
    """Files as given, folders as their images in name order. Hidden files are left out.

    Args:
        recursive: also those of subfolders, which keep the folder in their name: ``a/x.png`` and ``b/x.png``.
        leave_out: folders in which nothing is looked for: those that the job itself writes.

    Raises:
        UserError: something is missing, holds no image, or two images have the same name.
    """
    found: list[ImageFile] = []
    for given in map(Path, inputs):
        if given.is_dir():
            images = sorted(_inside(given, recursive, {folder.resolve() for folder in leave_out}))
            if not images:
                hint = "" if recursive else "; --recursive also looks into its subfolders"
                raise UserError(f"{given}: the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}){hint}.")
            found += [ImageFile(path, path.relative_to(given).as_posix()) for path in images]
        elif given.exists():
            found.append(ImageFile(given, given.name))
        else:
            raise UserError(f"{given}: no such image or folder.")
    by_stem: dict[str, ImageFile] = {}
    for image in found:
        other = by_stem.setdefault(image.stem, image)
        if other is not image:
            raise UserError(f"{image.path} and {other.path} would both be written to {image.stem}.png: rename one.")
    return found


def _inside(folder: Path, recursive: bool, leave_out: set[Path]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                yield path
        elif recursive and path.is_symlink():  # it may lead back up
            warnings.warn(f"{path} links to a folder, which is not followed: name it as well.", stacklevel=2)
        elif recursive and path.resolve() not in leave_out:
            yield from _inside(path, recursive, leave_out)


def find_bad(images: Sequence[ImageFile]) -> list[BadImage]:
    """Those that are no image by their first bytes; pixels are not decoded."""
    with ThreadPoolExecutor(_THREADS) as pool:
        reasons = pool.map(_fault_of, (image.path for image in images))
        return [BadImage(image.name, reason) for image, reason in zip(images, reasons, strict=True) if reason]


def _fault_of(path: Path) -> str | None:
    try:
        if not regular_file(path).stat().st_size:
            return f"{path} is empty: replace the file."
        if path.suffix.lower() not in _RASTERS:
            with Image.open(path):
                pass
    except UserError as error:
        return str(error)
    except Image.DecompressionBombError:
        return None  # large, which is no fault
    except UnidentifiedImageError:
        return f"{path} is not a readable image (no known format): replace the file."
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises on a head that is garbled
        return f"{path} is not a readable image ({' '.join(str(error).split())}): replace the file."
    return None


def tell_bad(bad: Sequence[BadImage], images: int) -> str:
    """The names of all in one line, and below it why: the first ``NAMED`` in full, then how many more."""
    if len(bad) == 1:
        return bad[0].reason if images == 1 else f"1 of {images} images cannot be used: {bad[0].reason}"
    more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    names = ", ".join(one.name for one in bad[:NAMED])
    return "\n  ".join(
        [f"{len(bad)} of {images} images cannot be used: {names}{more}", *(b.reason for b in bad[:NAMED])]
    )
