"""Paired crops from the config's side: switched on by an override, resumed, refused with an odd batch."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.engine.config import RunConfig, from_dict, override, to_dict
from pantile.engine.loaders import training_loader


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def paired(tiny_config: RunConfig) -> RunConfig:
    return override(tiny_config, ["augment.pairs.target_sizes=[16, 32]", "augment.copy_paste=0"])


def test_overrides_switch_it_on_and_off(tiny_config: RunConfig) -> None:
    assert tiny_config.augment.pairs is None
    on = override(tiny_config, ["augment.pairs={}"])
    assert on.augment.pairs.target_sizes == (32, 64, 128, 256, 512)
    sizes = override(tiny_config, ["augment.pairs.target_sizes=[32,64,128]"])
    assert sizes.augment.pairs.target_sizes == (32, 64, 128)
    assert from_dict(to_dict(sizes)) == sizes
    assert override(sizes, ["augment.pairs=null"]) == tiny_config
    with pytest.raises(UserError, match=r"did you mean 'augment\.pairs\.target_sizes'"):
        override(tiny_config, ["augment.pairs.target_size=[32]"])
    with pytest.raises(UserError, match=r"augment\.pairs\.max_long_side"):
        override(tiny_config, ["augment.pairs.max_long_side=big"])


def test_old_configs_have_none(tiny_config: RunConfig) -> None:
    data = to_dict(tiny_config)
    del data["augment"]["pairs"]
    assert from_dict(data) == tiny_config


def test_a_restart_continues_the_stream(paired: RunConfig, tiny_scenes: Scenes) -> None:
    whole = list(islice(training_loader(tiny_scenes, paired), 4))
    resumed = list(islice(training_loader(tiny_scenes, paired, finished_steps=2), 2))
    for (images, targets), (images_again, targets_again) in zip(whole[2:], resumed, strict=True):
        assert torch.equal(images, images_again)
        assert torch.equal(targets.ids, targets_again.ids)
        assert targets.names == targets_again.names


def test_accumulation_keeps_pairs_together(paired: RunConfig, tiny_scenes: Scenes) -> None:
    whole = next(iter(training_loader(tiny_scenes, paired)))[0]
    halves = list(islice(training_loader(tiny_scenes, override(paired, ["training.device_batch=2"])), 2))
    assert torch.equal(torch.cat([images for images, _ in halves]), whole)


@pytest.mark.parametrize("world_size", [1, 4])
def test_an_odd_device_batch_is_refused(paired: RunConfig, tiny_scenes: Scenes, world_size: int) -> None:
    config = override(paired, ["training.device_batch=1"])
    with pytest.raises(UserError, match=r"takes 1 at once: choose an even training\.device_batch"):
        training_loader(tiny_scenes, config, world_size=world_size)
