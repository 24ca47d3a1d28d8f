"""What several rooms' tests share: tiny runs that take a second, and the optional folder of real data."""

import os
import signal
from pathlib import Path

import pytest
import torch

from pantile.data import Scenes
from pantile.engine.config import RunConfig
from tiny_runs import make_tiny_config


def pytest_configure(config: pytest.Config) -> None:
    """A shell has what it starts in the background ignore Ctrl-C, which tests send to themselves and to children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models are slower on several threads, above all beside other test processes."""
    torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def tiny_scenes() -> Scenes:
    return Scenes(6, size=(65, 65), seed=3)
