"""``training.compile``: the same run, of which training steps alone are compiled."""

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn
from torch._dynamo.testing import CompileCounter

from pantile.engine.checkpoint import LAST, load_checkpoint
from pantile.engine.train import train
from tiny_runs import make_tiny_config


@pytest.fixture
def compiled_graphs(monkeypatch):
    """Counts what is compiled, without a compiler's own time."""
    counter = CompileCounter()
    compile_module = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: compile_module(module, backend=counter))
    torch._dynamo.reset()
    yield counter
    torch._dynamo.reset()


class CountsAfterSteps(Callback):
    def __init__(self, counter):
        self.counter, self.counts = counter, []

    def on_train_batch_end(self, *_):
        self.counts.append(self.counter.frame_count)


def test_a_compiled_run_is_the_same_run(tiny_scenes, tmp_path, compiled_graphs):
    config = make_tiny_config("segmenter_nano")
    config.training.steps, config.training.effective_batch = 2, 2
    config.evaluation_size = (97, 97)  # would be compiled anew
    plain = load_checkpoint(train(config, tiny_scenes, tiny_scenes, tmp_path / "plain") / LAST)
    assert compiled_graphs.frame_count == 0
    config.training.compile = True
    counts = CountsAfterSteps(compiled_graphs)
    compiled = load_checkpoint(train(config, tiny_scenes, tiny_scenes, tmp_path / "run", callbacks=[counts]) / LAST)
    first, second = counts.counts
    assert first == second == compiled_graphs.frame_count >= 1
    assert list(compiled.state) == list(plain.state)  # names are those of any run
    for name, tensor in plain.state.items():
        torch.testing.assert_close(compiled.state[name], tensor, atol=1e-4, rtol=1e-3, msg=name)
