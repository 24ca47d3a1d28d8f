"""What several rooms' tests share: tiny runs that take a second, and the optional folder of real data."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from timm.layers import weight_init

from pantile.contracts.panoptic import PanopticMap
from pantile.data import Scenes
from pantile.engine.config import RunConfig
from tiny_runs import make_tiny_config

# The same examples each time, so that a change is refused for its own faults only. New ones are looked for on purpose:
# `make fuzz`.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("fuzz", print_blob=True)
settings.load_profile(os.environ.get("PANTILE_HYPOTHESIS", "same"))


def pytest_configure(config: pytest.Config) -> None:
    """A shell has what it starts in the background ignore Ctrl-C, which tests send to themselves and to children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """What thousands of tests and their imports hold stays: looking it through every 700 objects takes a tenth of the
    time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models are slower on several threads, above all beside other test processes."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def no_numbers_for_meta_tensors() -> Iterator[None]:
    """timm draws numbers for tensors that have no memory, which is most of the time of building a model without
    weights; torch's own initialiser leaves them alone."""
    draw = weight_init._trunc_normal_

    def draw_where_there_is_memory(tensor: torch.Tensor, *arguments: float) -> torch.Tensor:
        return tensor if tensor.is_meta else draw(tensor, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_init, "_trunc_normal_", draw_where_there_is_memory)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with facades/, coco_sample/ and pq_cases/, where the machine has it."""
    folder = os.environ.get("PANTILE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set PANTILE_TEST_DATA to the folder of real test images")
    return Path(folder)


@pytest.fixture
def tiny_config() -> RunConfig:
    """remax_nano, smaller still: a training step takes about a tenth of a second."""
    return make_tiny_config()


class DrawnOnce(Scenes):
    """Draws each scene once, which takes longer than a tiny model's step; who changes what it gave finds out."""

    def __init__(self, *arguments: int, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._drawn: dict[int, tuple[np.ndarray, PanopticMap]] = {}

    def load(self, index: int) -> tuple[np.ndarray, PanopticMap]:
        if index not in self._drawn:
            image, panoptic = super().load(index)
            image.flags.writeable = panoptic.ids.flags.writeable = False
            self._drawn[index] = image, panoptic
        return self._drawn[index]


@pytest.fixture(scope="session")
def tiny_scenes() -> Scenes:
    return DrawnOnce(6, size=(65, 65), seed=3)
