"""From a checkpoint to a file and back: what is written says the same as the network, or is not written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from export.tiny_checkpoint import SIZE, TAXONOMY, registered, tiny_checkpoint
from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.evaluate import load_task
from pantile.export import checkpoint_export
from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
from pantile.export.graph import DeployedNetwork, example_inputs, merged_outside
from pantile.export.parity import hidden_branches
from pantile.predict.loading import load
from pantile.predict.predictor import predictor_of

IMAGES = [Scenes(2, size=(60, 90), seed=1).load(index)[0] for index in range(2)]


@pytest.fixture(scope="module", autouse=True)
def tiny_architecture():
    with registered():
        yield


@pytest.fixture(scope="module")
def checkpoint():
    return tiny_checkpoint()


@pytest.fixture(scope="module")
def onnx_file(checkpoint, tmp_path_factory):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    return export_checkpoint(checkpoint, path, IMAGES)


def test_a_file_predicts_what_its_checkpoint_does(checkpoint, onnx_file):
    predictor, exported = predictor_of(checkpoint, device="cpu"), load(onnx_file.path)
    assert exported.taxonomy == TAXONOMY and repr(exported).startswith("ExportedPredictor(tiny.onnx: checked_tiny")
    as_it_is = Scenes(1, size=SIZE, seed=2).load(0)[0]
    assert np.array_equal(exported(as_it_is).map, predictor(as_it_is).map)
    for image in (as_it_is, *IMAGES, IMAGES[0][:50, :33]):
        expected, found = predictor(image), exported(image)
        assert len(expected.segments) > 1
        # Pillow and torch resize to within one level of 255, which moves a border here and there
        assert (found.map != expected.map).mean() < 0.01
        assert [(s.id, s.class_index) for s in found.segments] == [(s.id, s.class_index) for s in expected.segments]


def test_it_says_what_was_measured_at_three_sizes(onnx_file):
    assert [parity.size for parity in onnx_file.parities] == [SIZE, (32, 64), (64, 128)]
    stored = load(onnx_file.path).header.parity
    assert stored == json.loads(json.dumps(stored)) and len(stored["sizes"]) == 3
    for parity in onnx_file.parities:
        assert parity.outputs.keys() == {"class_logits", "mask_logits"}
        assert all(0 <= difference < 1e-4 * most for difference, most in parity.outputs.values())
        assert parity.differing == 0 and parity.segments > 0 and parity.pixels == 2 * 60 * 90
    assert str(load(onnx_file.path).header.sizes) == "32k x 32k pixels, any number of images at a time"


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_weights_make_smaller_differences_than_they_are_allowed(precision, checkpoint, onnx_file, tmp_path):
    import shutil

    from pantile.export.onnx_writer import write_metadata
    from pantile.export.precision import PRECISIONS
    from pantile.runtime.onnx_file import OnnxFile

    path = tmp_path / "small.onnx"
    shutil.copyfile(onnx_file.path, path)
    PRECISIONS[precision](path, ())
    write_metadata(path, replace(onnx_file.header, weights=precision).to_json())
    images, padding = np.zeros((1, 3, *SIZE), np.uint8), np.zeros((1, *SIZE), bool)
    exact, found = (OnnxFile(p).run(images, padding) for p in (onnx_file.path, path))
    for name, values in exact.items():
        assert np.abs(values - found[name]).max() < 0.3 * np.abs(values).max()


def test_a_file_that_says_something_else_is_not_left(checkpoint, tmp_path, monkeypatch):
    """The program is changed between tracing and writing."""
    traces = checkpoint_export.traces

    def wrong(*arguments):
        for traced in traces(*arguments):
            state = traced.program.state_dict
            state["model.classify.bias"] = torch.nn.Parameter(state["model.classify.bias"] + 1)
            yield traced

    monkeypatch.setattr(checkpoint_export, "traces", wrong)
    path = tmp_path / "wrong.pt2"
    with pytest.raises(UserError, match=r"at 64 x 96 the output class_logits differs .*: nothing was written"):
        export_checkpoint(checkpoint, path, IMAGES, ExportOptions(format="torch"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pad_value", [None, 0])
def test_padding_is_what_it_is_for_the_network(pad_value, checkpoint):
    """EoMT was trained with black padding, most others with the mean colour."""
    task = load_task(replace(checkpoint, config=replace(checkpoint.config, pad_value=pad_value)))
    network = DeployedNetwork(task, merged_outside(with_queries=False)).eval()
    images, padding = example_inputs(3, SIZE, batch=1)
    padding[:, 40:] = True
    with torch.inference_mode():
        expected = task(images, padding).class_logits
        assert torch.equal(network(images, padding)[0], expected)
        assert not torch.equal(network(images, torch.zeros_like(padding))[0], expected)


def test_a_program_of_torch_says_the_same(checkpoint, tmp_path):
    made = export_checkpoint(checkpoint, tmp_path / "tiny.pt2", IMAGES, ExportOptions(format="torch"))
    expected = predictor_of(checkpoint, device="cpu")(IMAGES[0])
    assert np.array_equal(load(made.path)(IMAGES[0]).map, expected.map)


@pytest.mark.parametrize(
    ("change", "options", "sentence"),
    [
        ({}, ExportOptions(format="torch", weights="int8"), "--precision int8 is of ONNX files"),
        ({}, ExportOptions(calibrate=True), "--calibrate is of --precision int8"),
    ],
)
def test_options_that_do_not_go_together(checkpoint, tmp_path, change, options, sentence):
    with pytest.raises(UserError, match=sentence):
        export_checkpoint(checkpoint, tmp_path / "x.onnx", IMAGES, options)
    assert list(tmp_path.iterdir()) == []


def test_an_operator_that_onnx_lacks_is_named_with_its_layer(tmp_path):
    pytest.importorskip("onnxscript")
    from pantile.export.onnx_writer import write_onnx
    from pantile.export.tracing import Traced
    from pantile.runtime.sizes import InputSizes, Side

    class Bessel(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.strange = Bessel()

        def forward(self, images, padding):
            return (self.strange(images.float()) + padding,)

    inputs = (torch.zeros(1, 1, 2, 2, dtype=torch.uint8), torch.zeros(1, 2, 2, dtype=torch.bool))
    traced = Traced(torch.export.export(Whole(), inputs), InputSizes(Side(2), Side(2), 1), (2, 2))
    with pytest.raises(UserError, match=r"lacks the operator prims.bessel_j0 of strange \(Bessel\)"):
        write_onnx(traced, ("out",), tmp_path / "x.onnx")


def test_norms_that_hide_what_stands_before_them_are_found():
    norm = torch.nn.BatchNorm2d(3)
    torch.nn.init.zeros_(norm.weight)
    assert hidden_branches(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), norm, torch.nn.BatchNorm2d(3))) == ["1"]
