"""The checkpoints that a run resumes from: one, and the one before it, whatever happens while they are written."""

import errno
import os
import zipfile
from pathlib import Path

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from pantile.contracts.atomic import remove_leftovers, replacing
from pantile.contracts.errors import UserError
from pantile.engine.checkpoint import AVERAGE, LAST, LAST_AVERAGE, LAST_WEIGHTS, WEIGHTS, load_checkpoint

PREVIOUS = LAST.with_name("previous.ckpt")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class CheckpointFiles(TorchCheckpointIO):
    """Writes ``last.ckpt`` beside itself, syncs it and reads it back before it takes its place; what it replaces stays
    as ``previous.ckpt``. On a full disk the older one of the two makes room."""

    def __init__(self) -> None:
        super().__init__()
        self.last_is_sound = True  # False: it could not be read, and must not take the place of the one before
        self._layout_reads = False  # a checkpoint of this run was unpickled; the others have the same layout

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: object = None) -> None:
        """
        Raises:
            UserError: the disk refuses; the checkpoints that are there stay.
        """
        path = Path(path)
        try:
            try:
                self._write(checkpoint, path)
            except OSError as error:
                before = path.with_name(PREVIOUS.name)
                if error.errno not in _FULL or not (self.last_is_sound and path.exists() and before.exists()):
                    raise
                before.unlink()
                self._write(checkpoint, path)
        except OSError as error:
            step = checkpoint.get("global_step")
            raise UserError(
                f"{path}: cannot be written at step {step} ({error.strerror or error}); what an earlier step left "
                "there stays: make room, and go on with --resume."
            ) from error

    def _write(self, checkpoint: dict, path: Path) -> None:
        with replacing(path) as temporary:
            _save(checkpoint, temporary)
            problem = _changed_bytes(temporary) if self._layout_reads else damage(temporary)
            if problem:
                raise OSError(errno.EIO, f"it does not read back: {problem}", str(path))
            if self.last_is_sound and path.exists():
                _link(path, path.with_name(PREVIOUS.name))
        self.last_is_sound = self._layout_reads = True


def _save(content: dict, path: Path) -> None:
    """``torch.save``; a full disk is the OSError that it is, not the RuntimeError that torch's writer makes of it."""
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        raise cause or error from None


def _link(source: Path, target: Path) -> None:
    """``target`` becomes ``source`` in one step, without a copy where the file system has hard links."""
    beside = target.with_name(f".{target.stem}.{os.getpid()}-0{target.suffix}")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:
        source.replace(target)
        return
    beside.replace(target)


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint, None where every byte is as it was written (by the sums in the file)."""
    if (changed := _changed_bytes(path)) is not None:
        return changed
    try:
        torch.load(path, map_location="meta", weights_only=True, mmap=True)
    except Exception as error:  # whatever a damaged file makes of a reader
        return _first_line(error)
    return None


def _changed_bytes(path: Path) -> str | None:
    """``damage`` without unpickling, which takes most of its time where tensors are many and small."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:
        return _first_line(error)
    return None if broken is None else f"{broken} has changed"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def file_to_resume(run: Path) -> tuple[Path, str | None]:
    """The newest checkpoint of a run that can be read, and what is wrong with ``last.ckpt`` where it is another.

    Raises:
        UserError: none can.
    """
    found = [run / name for name in (LAST, PREVIOUS) if (run / name).exists()]
    if not found:
        raise UserError(f"{run}: nothing to resume ({LAST} is missing); start it without --resume.")
    problem = damage(found[0]) if found[0] == run / LAST else "it is missing"
    if problem is None:
        return found[0], None
    if found[-1] != run / PREVIOUS or damage(run / PREVIOUS) is not None:
        load_checkpoint(found[0])  # a sentence for the usual kinds of damage
        raise UserError(f"{found[0]}: cannot be read as a checkpoint ({problem}); copy the file again.")
    return run / PREVIOUS, problem


def clear_leftovers(run: Path) -> None:
    """Removes what a killed process left of a checkpoint that it was writing, which may be large."""
    for name in (LAST, PREVIOUS, WEIGHTS, LAST_WEIGHTS, AVERAGE, LAST_AVERAGE):
        remove_leftovers(run / name)
