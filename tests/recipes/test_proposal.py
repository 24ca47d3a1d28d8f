"""``pantile start``: what it sees of data, what it estimates, and what it proposes for which machine."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pantile.backbones import reachable_weights
from pantile.cli import start
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.targets import PanopticTargets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import Scenes, open_dataset, write_coco_panoptic
from pantile.data.facts import DataFacts, facts_of, shared_images
from pantile.engine.step_memory import StepMemory, step_memory
from pantile.engine.step_time import seconds_per_step
from pantile.engine.task import PanopticTask
from pantile.recipes import proposal as proposal_module
from pantile.recipes.proposal import LARGE_START, Machine, propose
from tiny_runs import make_tiny_config

GIB = 2**30
LAPTOP = Machine("cpu", 8 * GIB, 4)


@pytest.fixture
def memory(monkeypatch):
    """Of the estimate, about what it gives, at once."""

    def estimated(config, is_thing) -> StepMemory:
        weights, sample = (723, 9169 / 1024**2) if "swin" in config.recipe else (12, 36 / 193**2)
        return StepMemory(weights * 2**20, round(sample * 2**20 * config.augment.crop[0] ** 2))

    monkeypatch.setattr(proposal_module, "step_memory", estimated)


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr(reachable_weights, "_hub_answers", lambda: True)


def facts(small: float = 0.1, targets: int = 20, images: int = 200, rare: int = 50) -> DataFacts:
    """Of photos of 1024 pixels, whose things have the side ``small``."""
    taxonomy = plain_taxonomy(["car", "sky", "dog"], things=["car", "dog"])
    of = Counter({0: 200, 1: 200, 2: rare})
    return DataFacts(taxonomy, images, 200, [(1024, 1024)] * 200, [targets] * 200, [small] * 50, of, 0.1)


def test_facts_are_those_of_a_plain_count():
    scenes = Scenes(5, size=(33, 49), seed=1)
    found = facts_of(scenes)
    maps = [scenes.load(index)[1] for index in range(5)]
    segments = [[s for s in m.segments if not s.is_crowd] for m in maps]
    assert found.sizes == [(33, 49)] * 5 and found.targets == list(map(len, segments))
    assert found.void == pytest.approx(np.mean([(m.ids == 0).mean() for m in maps]))
    is_thing = [c.is_thing for c in scenes.taxonomy.classes]
    things = [(m, s) for m, own in zip(maps, segments, strict=True) for s in own if is_thing[s.class_index]]
    sides = [(m.ids == s.id).sum() ** 0.5 / 49 for m, s in things]
    assert found.thing_sides == pytest.approx(sides) and found.small_side == pytest.approx(np.percentile(sides, 10))
    assert facts_of(scenes, 2).looked_at == 2 and facts(rare=3).rare(0.05) == ["dog"] and not facts().rare(0.05)


def test_memory_is_near_what_a_step_keeps():
    """The oracle: the bytes that a real step keeps for its backward pass, losses included."""
    config = make_tiny_config("mask2former_nano")
    config.model.pretrained = False
    scenes = Scenes(1, size=(65, 65), seed=3)
    task, kept = PanopticTask(config, scenes.taxonomy).train(), {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    image, panoptic = scenes.load(0)
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        task.losses(images, PanopticTargets.from_maps([panoptic], scenes.taxonomy))
    own = {tensor.untyped_storage().data_ptr() for tensor in (*task.parameters(), *task.buffers())}
    real = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    need = step_memory(config, [c.is_thing for c in scenes.taxonomy.classes])
    assert real <= need.sample <= 2.5 * real
    assert (
        need.weights == 16 * sum(p.numel() for p in task.model.parameters())
        and need.of(3) == need.weights + 3 * need.sample
    )


def test_what_fits_a_laptop(memory, hub):
    proposal = propose(facts(), LAPTOP, 2.0, lambda config: 1.0)
    assert proposal.recipe == "panoptic_deeplab_lite0" and proposal.init is None
    config = proposal.config
    assert config.augment.crop == (193, 193) and config.evaluation_size == (289, 289)  # 0.1 of them is 29 pixels
    assert config.model.pretrained and config.training.steps == int(0.9 * 7200)
    assert proposal.seconds == pytest.approx(7200, rel=1e-3)
    small = propose(facts(0.03, rare=3), LAPTOP, 2.0, lambda _: 1.0)
    assert small.config.augment.crop == (385, 385) and small.config.evaluation_size == (577, 577)  # 17 pixels of 576
    assert small.config.augment.repeat_threshold == 0.4  # the recipe's own, which is more
    few = propose(facts(images=20), LAPTOP, 2.0, lambda _: 1.0)
    assert few.config.training.steps == 1500 and "less than 2 hours" in few.reasons[-1]
    mine = propose(facts(), LAPTOP, 2.0, lambda _: 1.0, ["augment.crop=[64,64]", "training.steps=7"], "runs/before")
    assert (mine.config.augment.crop, mine.config.training.steps, mine.init) == ((64, 64), 7, "runs/before")


def test_without_a_network_it_starts_from_a_file_or_from_random_numbers(memory, monkeypatch):
    monkeypatch.setattr(reachable_weights, "_hub_answers", lambda: False)
    monkeypatch.setattr(reachable_weights, "_is_cached", lambda repository: "lite4" in repository)
    alone = propose(facts(targets=95, rare=3), LAPTOP, 2.0, lambda _: 1.0)
    assert alone.recipe == "remax_nano" and not alone.config.model.pretrained
    assert "model.backbone_weights=FILE" in alone.reasons[0]
    assert alone.config.model.num_queries == 110 and alone.config.augment.repeat_threshold == 0.05
    assert alone.config.augment.crop == alone.config.evaluation_size == (193, 193)
    assert propose(facts(0.04), LAPTOP, 2.0, lambda _: 1.0).config.augment.crop == (513, 513)  # 0.04 of 384 is 15.4
    weights = Path(__file__).parents[2] / "weights" / "facades_lite0.safetensors"
    mine = propose(facts(), LAPTOP, 2.0, lambda _: 1.0, init=str(weights), init_recipe="facades_lite0")
    assert (mine.recipe, mine.init) == ("facades_lite0", str(weights)) and "made the weights" in mine.reasons[0]
    assert propose(facts(), LAPTOP, 2.0, lambda _: 1.0, init="a", init_recipe="of nobody").recipe != "of nobody"
    for settings in (["model.backbone_weights=lite0.safetensors"], ["model.backbone=tf_efficientnet_lite4"]):
        assert propose(facts(), LAPTOP, 2.0, lambda _: 1.0, settings).recipe == "panoptic_deeplab_lite0"


def test_steps_become_cheaper_where_too_few_fit(memory):
    def timed(config) -> float:
        return config.training.effective_batch * config.augment.crop[0] ** 2 / 2**18  # 4 s for four of 513

    def proposed(hours: float, trained: bool):
        return propose(facts(0.01), LAPTOP, hours, timed, fetchable=lambda model: trained)

    scratch = proposed(1.0, trained=False)
    assert scratch.config.training.effective_batch == 2 and scratch.config.augment.crop == (513, 513)
    assert scratch.config.training.steps > 1500 and "too few to learn from" in scratch.reasons[-3]
    short = proposed(0.2, trained=False)
    assert short.config.augment.crop == (193, 193) and short.config.training.steps > 1500
    trained = proposed(1.0, trained=True)  # 2.3 s for four of 385
    assert trained.config.training.effective_batch == 4 and trained.config.augment.crop == (385, 385)
    assert 500 < trained.config.training.steps < 1500 and "too few" not in " ".join(trained.reasons)
    assert proposed(0.25, trained=True).config.training.effective_batch == 2
    with pytest.raises(UserError, match=r"0\.01 hours are 32 steps of 1.0 s here"):
        propose(facts(0.01), LAPTOP, 0.01, lambda _: 1.0, fetchable=lambda model: False)


def test_what_fits_a_gpu_and_what_nothing_fits(memory, hub):
    gpu = propose(facts(0.02), Machine("cuda", 60 * GIB, 16), 8.0, lambda _: 0.5)
    assert gpu.recipe == "mask2former_swin_t_coco" and gpu.init == LARGE_START
    assert gpu.config.augment.crop == (1024, 1024) and gpu.config.training.device_batch == 4
    little = propose(facts(0.02), Machine("cuda", 6 * GIB, 16), 8.0, lambda _: 0.5)
    assert little.config.augment.crop == (640, 640) and "do not fit into 6.0 GiB" in " ".join(little.reasons)
    with pytest.raises(
        UserError, match=r"One sample of 192x192 pixels of panoptic_deeplab_lite0 needs about .* MiB, and there"
    ):
        propose(facts(), Machine("cpu", 30 * 2**20, 2), 8.0, lambda _: 0.5)


def test_the_verb_prints_a_command_that_the_parser_takes(tmp_path, capsys, monkeypatch, memory, hub):
    scenes = Scenes(4, size=(33, 33), seed=3)
    for split in ("train", "val"):
        write_coco_panoptic(scenes, tmp_path / "data", split)
    Image.new("RGB", (33, 33)).save(next((tmp_path / "data" / "val").iterdir()))  # one is another image now
    shared = shared_images(*(open_dataset(tmp_path / "data", split) for split in ("train", "val")))
    assert len(shared) == 3 and shared_images(scenes, scenes) is None
    monkeypatch.setattr(start, "this_machine", lambda device: LAPTOP)
    monkeypatch.setattr("pantile.engine.step_time.seconds_per_step", lambda *_: 0.5)
    arguments = ["start", str(tmp_path / "data"), "--hours", "0.5", "--set", "seed=5", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "4 training images of 33x33 pixels, 4 to validate on" in told
    assert "warning: 3 of the validation images are training images, too" in told
    (command,) = [line for line in told.splitlines() if line.startswith("pantile train")]
    assert command.startswith(f"pantile train panoptic_deeplab_lite0 --data {tmp_path / 'data'} --out")
    assert "seed=5" in command and not (tmp_path / "run").exists()
    trained = []
    monkeypatch.setattr("pantile.cli.train.run", lambda args: trained.append(args) or 0)
    assert main([*arguments, "--go"]) == 0
    assert trained[0].recipe == "panoptic_deeplab_lite0" and "training.steps=1000" in trained[0].set
    weights = Path(__file__).parents[2] / "weights" / "facades_lite0.safetensors"
    assert main([*arguments, "--init", str(weights)]) == 0
    assert f"pantile train facades_lite0 --data {tmp_path / 'data'} --init {weights}" in capsys.readouterr().out
    assert main(["start", str(tmp_path / "data"), "--set", "seeds=5"]) == 2
    assert "there is no field 'seeds'" in capsys.readouterr().err


def test_steps_are_timed():
    config = make_tiny_config("panoptic_deeplab_nano")
    config.model.backbone, config.training.device_batch = "test_resnet", 2
    seconds = seconds_per_step(config, Scenes(2, size=(33, 33), seed=3), "cpu", steps=1)
    assert 0 < seconds < 60
