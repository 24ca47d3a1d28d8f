"""From a checkpoint to a file and back: what is written says the same as the network, or is not written."""

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export.tiny_checkpoint import SIZE, TAXONOMY, Photos, registered, tiny_checkpoint, write_tiny_run
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.interruption import Interrupted
from pantile.data import Scenes
from pantile.engine.evaluate import load_task
from pantile.export import checkpoint_export
from pantile.export.checkpoint_export import ExportOptions, export_checkpoint
from pantile.export.graph import DeployedNetwork, example_inputs, merged_outside
from pantile.export.parity import hidden_branches
from pantile.predict.loading import load
from pantile.predict.predictor import predictor_of
from pantile.serve.server import Server

ANY = "32k x 32k pixels, any number of images at a time"
IMAGES = [Photos().load(index)[0] for index in range(2)]
COMMANDS = re.findall(r"^    (pantile .+)$", (Path(__file__).parents[2] / "docs" / "ship.md").read_text(), re.M)


@pytest.fixture(scope="module", autouse=True)
def tiny_architecture():
    with registered():
        yield


@pytest.fixture(scope="module")
def checkpoint():
    return tiny_checkpoint()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder in which the first command of docs/ship.md was run; and what ``export_checkpoint`` said there."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    folder, made, export = tmp_path_factory.mktemp("ship"), [], checkpoint_export.export_checkpoint
    write_tiny_run(folder / "runs" / "first", folder / "my_data")
    (folder / "photos").mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(folder / "photos" / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(checkpoint_export, "export_checkpoint", lambda *given: made.append(export(*given)) or made[0])
        assert main(shlex.split(COMMANDS[0])[1:]) == 0
    return folder, made[0]


@pytest.fixture(scope="module")
def onnx_file(shipped):
    folder, made = shipped
    return replace(made, path=folder / made.path)


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_the_commands_of_the_page_do_what_they_say(command, shipped, monkeypatch):
    folder, _ = shipped
    monkeypatch.chdir(folder)
    arguments = shlex.split(command)[1:]
    if arguments[0] == "serve":
        with ended_once_healthy(monkeypatch):
            assert main([*arguments, "--port", "0", "--host", "127.0.0.1"]) == 0
        return
    assert main(arguments) == 0
    made = {"predict": "predictions/annotations/panoptic_predictions.json", "publish": "published/README.md"}
    assert arguments[0] == "eval" or (folder / made[arguments[0]]).stat().st_size > 0


@contextlib.contextmanager
def ended_once_healthy(monkeypatch):
    """Sends SIGTERM to this process when the server that it starts says that it is well."""
    started, real = queue.Queue(), Server.serve_forever
    monkeypatch.setattr(Server, "serve_forever", lambda server, *rest: started.put(server.url) or real(server, *rest))

    def end() -> None:
        with urllib.request.urlopen(f"{started.get(timeout=20)}health", timeout=20) as answer:
            healthy.append(answer.status)
        os.kill(os.getpid(), signal.SIGTERM)

    healthy: list[int] = []
    thread = threading.Thread(target=end)
    thread.start()
    yield
    thread.join()
    assert healthy == [200]


def test_a_file_predicts_what_its_checkpoint_does(checkpoint, onnx_file):
    predictor, exported = predictor_of(checkpoint, device="cpu"), load(onnx_file.path)
    assert exported.taxonomy == TAXONOMY and repr(exported).startswith("ExportedPredictor(first.onnx: checked_tiny")
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
    assert str(load(onnx_file.path).header.sizes) == ANY


@pytest.mark.parametrize(
    ("precision", "calibration"), [("fp16", ()), ("int8", ()), ("int8", IMAGES)], ids=["fp16", "int8", "calibrated"]
)
def test_smaller_weights_make_smaller_differences_than_they_are_allowed(
    precision, calibration, checkpoint, onnx_file, tmp_path
):
    import shutil

    from pantile.export.onnx_writer import write_metadata
    from pantile.export.precision import PRECISIONS, batches_of
    from pantile.runtime.onnx_file import OnnxFile

    path = tmp_path / "small.onnx"
    shutil.copyfile(onnx_file.path, path)
    PRECISIONS[precision](path, batches_of(calibration, SIZE))
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


def test_a_graph_that_is_wrong_at_other_sizes_takes_one_size(checkpoint, tmp_path, monkeypatch):
    measure = checkpoint_export.parity.measure

    def wrong_elsewhere(*arguments):
        first, *others = measure(*arguments)
        return [first, *(replace(other, outputs={"class_logits": (0.5, 1.0)}) for other in others)]

    monkeypatch.setattr(checkpoint_export.parity, "measure", wrong_elsewhere)
    made = export_checkpoint(checkpoint, tmp_path / "tiny.pt2", IMAGES, ExportOptions(format="torch"))
    assert (made.header.sizes.height.fixed, made.header.sizes.width.fixed) == SIZE
    assert any("the output class_logits differs from torch's by 0.5 of 1" in limit for limit in made.limits)


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


def test_as_many_images_are_compared_as_are_asked_for(checkpoint, tmp_path):
    """An odd number, of which the last goes through the network alone."""
    made = export_checkpoint(checkpoint, tmp_path / "x.pt2", [*IMAGES, IMAGES[0]], ExportOptions("torch", compared=3))
    pixels = sum(image.shape[0] * image.shape[1] for image in [*IMAGES, IMAGES[0]])
    assert [parity.pixels for parity in made.parities] == [pixels] * len(made.parities)


@pytest.mark.parametrize("phase", ["tracing", "writing", "comparing with torch at 32 x 64"])
def test_phases_are_told_and_an_interruption_leaves_nothing(phase, checkpoint, tmp_path):
    told = []

    def tell(words: str) -> None:
        told.append(words)
        if words.startswith(phase):
            raise Interrupted(signal.SIGTERM)

    with pytest.raises(Interrupted):
        export_checkpoint(checkpoint, tmp_path / "tiny.pt2", IMAGES, ExportOptions(format="torch"), tell)
    assert list(tmp_path.iterdir()) == []
    assert told[:2] == ["loading the network", f"tracing with inputs of {ANY}"] and told[-1].startswith(phase)


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


def test_what_failed_in_the_exporter_is_told_and_not_its_advice(tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    from pantile.export.onnx_writer import write_onnx
    from pantile.export.tracing import Traced
    from pantile.runtime.sizes import InputSizes, Side

    def export(*_: object, **__: object) -> None:
        try:
            raise KeyError("a cache that had nothing")
        except KeyError:
            error = ValueError("Cannot view this as that!\nUse another program to see more.")
        raise torch.onnx.errors.OnnxExporterError("Step 2 of 3. Create an issue.") from error

    monkeypatch.setattr(torch.onnx, "export", export)
    traced = Traced(None, InputSizes(Side(2), Side(2), 1), (2, 2))
    with pytest.raises(UserError, match=r"^The network cannot be written as ONNX: Cannot view this as that!$"):
        write_onnx(traced, ("out",), tmp_path / "x.onnx")


def test_norms_that_hide_what_stands_before_them_are_found():
    norm = torch.nn.BatchNorm2d(3)
    torch.nn.init.zeros_(norm.weight)
    assert hidden_branches(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), norm, torch.nn.BatchNorm2d(3))) == ["1"]
