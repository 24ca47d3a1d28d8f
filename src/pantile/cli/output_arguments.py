"""Types of the arguments that name what a verb writes: whether that can be written is asked before any work."""

from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.contracts.output_paths import check_file_target, check_folder_target


def output_file(text: str) -> Path:
    """
    Raises:
        UserError: no file can be written there.
    """
    return check_file_target(Path(text))


def output_folder(text: str) -> Path:
    """
    Raises:
        UserError: no folder can be made or filled there.
    """
    return check_folder_target(Path(text))


def check_weights_name(out: Path) -> None:
    """
    Raises:
        UserError: it is not the name of a safetensors file.
    """
    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: weights are written as safetensors; end the name in .safetensors.")
