#!/usr/bin/env bash
# One would guess that a side rounded up in Python's usual way, -(-height // 32), is the same number in an exported
# graph. torch.onnx.export(dynamo=True) writes // of a traced size as ONNX's integer Div, which rounds towards zero: a map
# that should be cut to 19 rows is cut to 18, at exactly those inputs whose sides are no multiple. torch.export's own
# program is right, and so is the graph for (height + 31) // 32.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  torch==2.15.0 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import numpy
import onnxruntime
import torch


class Cut(torch.nn.Module):
    """The upper part of a map of stride 32 that shows the image, in both ways of rounding up."""

    def forward(self, image):
        rows = image.shape[2]
        return image.new_ones(-(-rows // 32), 1), image.new_ones((rows + 31) // 32, 1)


rows = torch.export.Dim("rows", min=64, max=4096)
shapes = {"image": {2: rows}}
program = torch.export.export(Cut(), (torch.zeros(1, 3, 577, 32),), dynamic_shapes=shapes, strict=False)
torch.onnx.export(program, (), dynamo=True, opset_version=20, optimize=False, verbose=False).save("cut.onnx")
session = onnxruntime.InferenceSession("cut.onnx", providers=["CPUExecutionProvider"])
for height in (576, 577, 607, 608):
    image = torch.zeros(1, 3, height, 32)
    traced = [len(part) for part in program.module()(image)]
    graph = [len(part) for part in session.run(None, {"image": image.numpy()})]
    print(f"torch {torch.__version__}, height {height}: torch.export {traced}, ONNX Runtime {graph}")
    assert traced == [-(-height // 32)] * 2
    assert graph == [height // 32, -(-height // 32)]
PYTHON
