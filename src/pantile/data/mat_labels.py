"""Labels in MATLAB's files, as the archives of COCO-Stuff-10k have them: the map in field ``S``."""

from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.data.class_values import NUM_VALUES

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
HDF5_PLACES = (0, 512)  # MATLAB writes a header of its own before
FIELD = "S"


def is_hdf5(path: Path) -> bool:
    """Whether a ``.mat`` is of MATLAB's version 7.3, which is HDF5; others are read by scipy.

    Raises:
        UserError: the file is missing.
    """
    try:
        with regular_file(path).open("rb") as file:
            start = file.read(HDF5_PLACES[-1] + len(HDF5_MAGIC))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}): restore the file.") from None
    return any(start[place : place + len(HDF5_MAGIC)] == HDF5_MAGIC for place in HDF5_PLACES)


def read_mat_label(path: Path) -> np.ndarray:
    """(H, W) uint16, as stored.

    Raises:
        UserError: the file is missing or broken, lacks the field, holds no whole numbers from 0 to 65535, or is HDF5
            and h5py is not installed.
    """
    values = _from_hdf5(path) if is_hdf5(path) else _from_matlab_5(path)
    if values is None:
        raise UserError(f"{path} has no field {FIELD!r}, where the label map belongs: restore the file.")
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise UserError(f"{path}: the field {FIELD!r} is no map of numbers: restore the file.")
    if values.size and (values.min() < 0 or values.max() >= NUM_VALUES or (values != np.floor(values)).any()):
        raise UserError(f"{path}: the field {FIELD!r} holds more than whole numbers from 0 to 65535: restore the file.")
    return values.astype(np.uint16)


def _from_matlab_5(path: Path) -> np.ndarray | None:
    from scipy.io import loadmat  # takes a while to import

    try:
        return loadmat(path, variable_names=[FIELD]).get(FIELD)
    except Exception as error:  # scipy raises whatever its parser trips over, TypeError and zlib.error among others
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None


def _from_hdf5(path: Path) -> np.ndarray | None:
    try:
        import h5py
    except ImportError:
        raise UserError(
            f"{path} is a MATLAB 7.3 file, which is HDF5: install h5py (pip install h5py), or take version 1.1 of the "
            "archive, which needs nothing."
        ) from None
    try:
        with h5py.File(path, "r") as file:
            return np.asarray(file[FIELD]).T if FIELD in file else None  # MATLAB stores columns first
    except OSError as error:
        raise UserError(f"{path} does not decode ({' '.join(str(error).split())}): replace the file.") from None
