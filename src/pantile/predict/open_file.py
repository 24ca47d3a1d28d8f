"""Opening an exported file by its ending."""

from pathlib import Path

from pantile.runtime.images import ExportedFile


def open_exported(path: str | Path) -> ExportedFile:
    """
    Args:
        path: an ``.onnx`` file, run by ONNX Runtime, or a ``.pt2`` file, run by torch.

    Raises:
        UserError: no such file, one of another program or another version, or what runs it is not installed.
    """
    if Path(path).suffix.lower() == ".onnx":
        from pantile.runtime.onnx_file import OnnxFile

        return OnnxFile(path)
    from pantile.export.program_file import ProgramFile

    return ProgramFile(path)
