"""Checkpoints that TensorFlow wrote (``tensorflow_checkpoint/README.md``), read without it."""

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.convert.protobuf_wire import fields_of
from pantile.convert.tensorflow_file import is_tensorflow, read_variables

FOLDER = Path(__file__).parent / "tensorflow_checkpoint"
STEM = "max_s/stem/conv1_bn_act/conv/kernel"
OPTIMIZER = {"beta1_power", "beta2_power", f"{STEM}/Adam", f"{STEM}/Adam_1"}


@pytest.mark.parametrize(("prefix", "others"), [("ckpt-1", OPTIMIZER), ("by_name-7", set())])
def test_every_variable_by_its_name(prefix, others):
    assert is_tensorflow(FOLDER / prefix)
    variables = read_variables(FOLDER / prefix)
    assert others <= set(variables) and len(variables) == 61 + len(others)
    for name in set(variables) - others:
        state = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
        values = state.standard_normal(variables[name].shape).astype(np.float32)
        assert torch.equal(variables[name], torch.from_numpy(np.asarray(values))), name
    assert variables[STEM].shape == (3, 3, 3, 6)
    assert variables["max_s/stage5/block1/attention/height_axis/query_rpe/embeddings"].shape == (509, 2)


def copied(tmp_path):
    for path in FOLDER.glob("ckpt-1.*"):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / "ckpt-1"


def test_a_missing_data_file_is_told(tmp_path):
    prefix = copied(tmp_path)
    (tmp_path / "ckpt-1.data-00000-of-00001").unlink()
    with pytest.raises(UserError, match=r"has 1 data files, 0 of them lie here; copy ckpt-1.data-\* beside"):
        read_variables(prefix)


def test_torn_files_are_told(tmp_path):
    prefix = copied(tmp_path)
    data = tmp_path / "ckpt-1.data-00000-of-00001"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(UserError, match="ends before the last of its variables"):
        read_variables(prefix)
    index = tmp_path / "ckpt-1.index"
    table = index.read_bytes()
    for torn in (b"", table[:-20], table[:200] + table[-60:], b"\xff" * 100 + table[100:]):
        index.write_bytes(torn)
        with pytest.raises(UserError, match="cannot be read as the index of a TensorFlow checkpoint"):
            read_variables(prefix)


def test_fields_of_a_message():
    message = b"\x08\x96\x01" + b"\x12\x03abc" + b"\x12\x00" + b"\x1d" + struct.pack("<f", 0.5) + b"\x21" + bytes(8)
    assert fields_of(message) == {1: [150], 2: [b"abc", b""], 3: [struct.pack("<f", 0.5)], 4: [bytes(8)]}
    with pytest.raises(IndexError, match="field 2 is cut off"):
        fields_of(b"\x12\x04abc")
    with pytest.raises(ValueError, match="wire type 3"):
        fields_of(b"\x0b")
