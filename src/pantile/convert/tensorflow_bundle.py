"""TensorFlow checkpoints without TensorFlow: ``ckpt-7.index`` beside ``ckpt-7.data-00000-of-00001``.

The index is a table of sorted keys (LevelDB's format, not compressed): blocks of entries whose keys share prefixes, and
a last block that says where the others are. A value is a message that says where the numbers of a variable lie in which
data file. A checkpoint of objects has keys that are paths through Python attributes; what the variables were called
stands in the graph of those objects, which is a variable itself.

The format is that of tensorflow/core/util/tensor_bundle and core/protobuf/tensor_bundle.proto; checksums are not
tested.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.protobuf_wire import fields_of, varint

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_DTYPES = {1: torch.float32, 2: torch.float64, 14: torch.bfloat16, 19: torch.float16}
_BROKEN = (IndexError, ValueError, struct.error, UnicodeDecodeError)


def read_checkpoint(prefix: Path) -> dict[str, Tensor]:
    """Variables of floating point numbers by the names that they had.

    Args:
        prefix: of the files, ``ckpt-7``.

    Raises:
        UserError: a file is missing, torn or of another kind.
    """
    index = prefix.with_name(f"{prefix.name}.index")
    try:
        entries = {key.decode(): _entry(value) for key, value in _table(index.read_bytes()) if key}
        shards = _Shards(prefix, entries)
        graph = entries.get(_GRAPH)
        names = {key: key for key in entries} if graph is None else _names(shards.text(graph))
        return {
            name: shards.tensor(entries[key])
            for key, name in names.items()
            if key in entries and entries[key].dtype in _DTYPES and not entries[key].sliced
        }
    except _BROKEN as error:
        raise UserError(f"{index}: cannot be read as the index of a TensorFlow checkpoint ({error}).") from None


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    sliced: bool


def _entry(message: bytes) -> _Entry:
    fields = fields_of(message)
    sizes = [fields_of(size).get(1, [0])[0] for size in fields_of(b"".join(fields.get(2, []))).get(2, [])]
    dtype, shard, offset, size = (fields.get(number, [0])[0] for number in (1, 3, 4, 5))
    return _Entry(dtype, tuple(sizes), shard, offset, size, bool(fields.get(7)))


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values."""
    if len(data) < _FOOTER or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it does not end like one")
    footer = data[-_FOOTER:]
    position = 0
    for _ in range(2):  # of the block of further information, which is skipped
        _, position = varint(footer, position)
    for _, handle in _block(data, footer[position:]):
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    start, position = varint(handle, 0)
    size, _ = varint(handle, position)
    block = data[start : start + size]
    if data[start + size] != 0:
        raise ValueError("a block is compressed")
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    key, position = b"", 0
    while position < end:
        shared, position = varint(block, position)
        rest, position = varint(block, position)
        length, position = varint(block, position)
        key = key[:shared] + block[position : position + rest]
        position += rest
        yield key, block[position : position + length]
        position += length


def _names(graph: bytes) -> dict[str, str]:
    """Key of a variable -> its name. Parts without a name, such as an optimizer's settings, are left out."""
    names = {}
    for node in fields_of(graph).get(1, []):
        for attribute in fields_of(node).get(2, []):
            fields = fields_of(attribute)
            name, key = (fields.get(number, [b""])[0].decode() for number in (2, 3))
            if name:
                names[key] = name
    return names


class _Shards:
    """The data files, read where a variable lies."""

    def __init__(self, prefix: Path, entries: dict[str, _Entry]):
        count = 1 + max((entry.shard for entry in entries.values()), default=0)
        self.files = sorted(prefix.parent.glob(f"{escape(prefix.name)}.data-?????-of-?????"))
        if len(self.files) < count:
            raise UserError(
                f"{prefix}: the checkpoint has {count} data files, {len(self.files)} of them lie here; copy "
                f"{prefix.name}.data-* beside the index."
            )

    def text(self, entry: _Entry) -> bytes:
        """Of a single text: its length, a checksum of four bytes, the text."""
        data = self._bytes(entry)
        length, start = varint(data, 0)
        return data[start + 4 : start + 4 + length]

    def tensor(self, entry: _Entry) -> Tensor:
        dtype = _DTYPES[entry.dtype]
        return torch.frombuffer(bytearray(self._bytes(entry)), dtype=dtype).reshape(entry.shape)

    def _bytes(self, entry: _Entry) -> bytes:
        path = self.files[entry.shard]
        with path.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if len(data) < entry.size:
            raise UserError(f"{path}: ends before the last of its variables; copy or download it again.")
        return data
