"""A ``.pt2`` file of pantile: an exported program of torch, which needs none of the model's code."""

from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.runtime.header import KEY, Header

NAMES = "names"  # of the outputs, beside the header


class ProgramFile:
    """The same as ``runtime.onnx_file.OnnxFile``, run by torch on the CPU.

    Attributes:
        program: as it was exported.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(f"{path}: no such file; write one with `pantile export RUN --format torch --out FILE`.")
        regular_file(self.path)
        texts = {KEY: "", NAMES: ""}
        try:
            self.program = torch.export.load(self.path, extra_files=texts)
        except Exception as error:  # zip, pickle and JSON errors of its reader have no common class
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path} cannot be read as a program of torch ({reason}): export it again.") from None
        self.header = Header.from_json(_text(texts[KEY]), str(path))
        self.names = _text(texts[NAMES]).split()
        self._module = self.program.module()

    @property
    def fingerprint(self) -> str:
        return blake2b(self.path.read_bytes(), digest_size=10).hexdigest()

    def run(self, images: np.ndarray, padding: np.ndarray) -> dict[str, np.ndarray]:
        """See ``OnnxFile.run``."""
        self.header.sizes.check((images.shape[2], images.shape[3]), str(self.path))
        with torch.inference_mode():
            values = self._module(torch.from_numpy(images), torch.from_numpy(padding))
        return {name: value.numpy() for name, value in zip(self.names, values, strict=True)}


def _text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
