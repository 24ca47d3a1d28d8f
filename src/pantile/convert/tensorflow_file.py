"""Variables of TensorFlow models by name: from an ``.npz``, or with TensorFlow from a checkpoint."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.errors import UserError

_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def is_tensorflow(path: Path) -> bool:
    """An ``.npz``, or the prefix of a checkpoint (``ckpt-100`` beside ``ckpt-100.index``)."""
    return path.suffix == ".npz" or path.with_name(f"{path.name}.index").is_file()


def read_variables(path: Path) -> dict[str, Tensor]:
    """
    Raises:
        UserError: not readable, or TensorFlow is needed and not there.
    """
    if path.suffix != ".npz":
        return _read_checkpoint(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, BadZipFile, TypeError) as error:
        raise UserError(f"{path}: cannot be read as an .npz of arrays ({str(error).splitlines()[0]}).") from None


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """By the names that the variables had, which the checkpoint's object graph keeps."""
    try:
        import tensorflow
        from tensorflow.core.protobuf import trackable_object_graph_pb2
    except ImportError as error:
        raise UserError(
            f"{path}: a TensorFlow checkpoint needs TensorFlow, which is not installed ({error}); install it, or save "
            "the variables where it is: numpy.savez(path, **{v.name: v.numpy() for v in model.variables})."
        ) from None

    reader = tensorflow.train.load_checkpoint(str(path))
    if _GRAPH not in reader.get_variable_to_shape_map():  # written by name
        names = {name: name for name in reader.get_variable_to_shape_map()}
    else:
        graph = trackable_object_graph_pb2.TrackableObjectGraph()
        graph.ParseFromString(reader.get_tensor(_GRAPH))
        names = {a.full_name: a.checkpoint_key for node in graph.nodes for a in node.attributes if a.full_name}
    arrays = {name: reader.get_tensor(key) for name, key in names.items()}
    return {
        name: torch.from_numpy(a) for name, a in arrays.items() if isinstance(a, np.ndarray) and a.dtype.kind == "f"
    }
