"""An ONNX file of pantile, opened with ONNX Runtime."""

import os
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.runtime.header import KEY, Header


class GraphFails(UserError):
    """A graph cannot compute on an input that its header says it takes."""


#: what a graph takes
IMAGES, PADDING = "images", "padding"


class OnnxFile:
    """
    Args:
        path: the file.
        threads: of the runtime; None is ``OMP_NUM_THREADS``, or one for each core where that is not set.

    Attributes:
        header: what the file says of itself.
        fingerprint: of the whole file.

    Raises:
        UserError: no such file, no ONNX file, one of another program or another version; or ONNX Runtime is missing.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        if find_spec("onnxruntime") is None:
            raise UserError(f"{path} needs ONNX Runtime: install it with `pip install 'pantile[runtime]'`.")
        self.path = Path(path)
        if not self.path.exists():
            raise UserError(f"{path}: no such file; write one with `pantile export RUN --out FILE`.")
        regular_file(self.path)
        self._session = _session(self.path, threads)
        self.header = Header.from_json(self._session.get_modelmeta().custom_metadata_map.get(KEY), str(path))
        self.names = [output.name for output in self._session.get_outputs()]

    @property
    def fingerprint(self) -> str:
        digest = blake2b(digest_size=10)
        with self.path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
        return digest.hexdigest()

    def run(self, images: np.ndarray, padding: np.ndarray) -> dict[str, np.ndarray]:
        """
        Args:
            images: (B, C, H, W) uint8.
            padding: (B, H, W) bool, true where there is no image.

        Returns:
            Tensors by name, each for B images.

        Raises:
            UserError: a size that the graph does not take.
        """
        self.header.sizes.check((images.shape[2], images.shape[3]), str(self.path))
        try:
            values = self._session.run(None, {IMAGES: images, PADDING: padding})
        except Exception as error:  # as in ``_session``
            if not type(error).__module__.startswith("onnxruntime"):
                raise
            reason = " ".join(str(error).split())
            raise GraphFails(f"{self.path} fails on an input of {images.shape}: {reason[:300]}") from None
        return dict(zip(self.names, values, strict=True))


def _session(path: Path, threads: int | None):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of what cannot be changed here
    wanted = threads or os.environ.get("OMP_NUM_THREADS")
    if wanted:
        options.intra_op_num_threads = int(wanted)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has no public base class for what is wrong with a file
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        reason = " ".join(str(error).split()).rpartition(" : ")[2]
        raise UserError(f"{path} cannot be read as an ONNX file ({reason[:200]}): copy or export it again.") from None
