"""Every recipe builds its model and techniques; the rows of the papers carry the papers' settings; small ones train."""

import pytest
import torch

from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.data import Scenes
from pantile.engine.config import RunConfig, to_dict
from pantile.engine.loaders import training_loader
from pantile.engine.optimizer import make_optimizer
from pantile.engine.task import PanopticTask
from pantile.models import create_model
from pantile.recipes import list_recipes, make_recipe
from pantile.techniques import build_techniques
from tiny_runs import data_for, distinct_when_shrunk, make_tiny_config, shrunk

CLASSES = {  # the first whose name is part of a recipe's
    "pascal_context": 60,
    "youtube_vis": 40,
    "vspw": 124,
    "vipseg": 124,
    "coco_stuff10k": 171,
    "ade20k_full": 847,
    "coco_lvis": 1284,
    "coco": 133,
    "cityscapes": 19,
    "mapillary": 65,
    "ade20k": 150,
    "nano": 12,
}

#: settings of models and techniques that have been built
BUILT: list[dict] = []


def classes_of(name: str) -> int:
    return next((count for dataset, count in CLASSES.items() if dataset in name), CLASSES["nano"])


def taxonomy_of(classes: int) -> Taxonomy:
    return plain_taxonomy([f"class {i}" for i in range(classes)], things=["class 0"])


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_builds(name):
    config = make_recipe(name)
    assert config.recipe == name
    config.model.pretrained = False
    chosen = {technique for technique, own in config.techniques.items() if own is not None}
    content = to_dict(config)
    settings = {"model": content["model"], "techniques": content["techniques"]}
    if chosen == {"rankseg"}:  # whatever the size of the backbone
        settings["model"] = content["model"]["architecture"]
    if settings not in BUILT:  # which takes seconds
        BUILT.append(settings)
        taxonomy = taxonomy_of(classes_of(name))
        with torch.device("meta"):
            model = create_model(config.model, len(taxonomy), [c.is_thing for c in taxonomy.classes])
            assert set(build_techniques(config.techniques, model, taxonomy)) == chosen
    corners_aligned = 1 if name.startswith(("kmax", "remax", "panoptic_deeplab", "max_", "cmt_", "facades")) else 0
    if corners_aligned and isinstance(config.evaluation_size, tuple) and "lite0" not in name:  # crops of photos
        assert config.augment.crop == config.evaluation_size
    if "nano" not in name:
        assert all(side % 32 == corners_aligned for side in config.augment.crop)


def test_names_tell_the_techniques():
    for name in list_recipes():
        on = {own for own, settings in make_recipe(name).techniques.items() if settings is not None}
        assert (on == {"remask", "reclass"}) == name.startswith("remax"), name
        assert (on == {"intra_batch"}) == ("_ibs_" in name), name


def test_remax_differs_from_kmax_as_the_paper_says():
    kmax, remax = make_recipe("kmax_r50_coco"), make_recipe("remax_b_coco")
    assert remax.optimizer.learning_rate == 12 * kmax.optimizer.learning_rate == 6e-3
    assert (remax.optimizer.schedule, remax.optimizer.milestones) == ("step", (0.85, 0.95))
    assert remax.optimizer.weight_decay == 0.02
    assert make_recipe("remax_b_coco_50k").optimizer.weight_decay == 0.005
    assert remax.optimizer.gradient_clip is None
    assert remax.optimizer.warmup * remax.training.steps == pytest.approx(5000)
    assert remax.criterion.mask_activation == remax.techniques.remask.activation == "sigmoid"
    assert (remax.techniques.remask.stages, remax.techniques.remask.weight) == (4, 0.5)
    assert remax.techniques.reclass.eta == 0.1
    assert make_recipe("remax_t_coco").techniques.remask.stages == 2
    assert make_recipe("remax_r50_cityscapes").techniques.remask.weight == 1.0
    assert make_recipe("remax_r50_cityscapes").optimizer.learning_rate == 3e-3


def test_data_sets_differ_as_the_reference_says():
    cityscapes, ade20k = make_recipe("kmax_r50_cityscapes"), make_recipe("kmax_r50_ade20k_641")
    assert (cityscapes.model.num_queries, cityscapes.model.decoder_blocks) == (256, (1, 5, 1, 1, 1))
    assert cityscapes.criterion.instance_sampling_temperature == 0.6
    assert (cityscapes.training.steps, cityscapes.training.effective_batch) == (60_000, 32)
    assert (ade20k.model.drop_path, ade20k.criterion.instance_samples) == (0.0, 1024)
    assert ade20k.training.steps == 100_000


#: one of each kind at its full size
FULL_SIZE = ("kmax_nano", "remax_nano", "remax_t_coco", "panoptic_deeplab_swidernet_025_025_075_coco")


@pytest.mark.parametrize("name", FULL_SIZE)
def test_two_steps_of_the_whole_model(name, tiny_scenes):
    config = make_tiny_config(name)
    config.model.pretrained = False
    take_two_steps(config, tiny_scenes)


@pytest.mark.parametrize("name", distinct_when_shrunk(list_recipes()))
def test_every_recipe_trains_on_a_tiny_backbone(name, tiny_scenes):
    config = shrunk(name)
    take_two_steps(config, tiny_scenes, backward_twice=config.augment.clip is not None)


def take_two_steps(config: RunConfig, scenes: Scenes, backward_twice: bool = True) -> None:
    """The second may end with its losses, which show whether the first one left finite weights."""
    torch.manual_seed(0)
    scenes = data_for(config, scenes)
    task = PanopticTask(config, scenes.taxonomy).train()
    optimizer = make_optimizer(task.model, task.techniques, config.optimizer)
    trained = next(p for p in task.model.parameters() if p.ndim == 4 and p.requires_grad)
    before = trained.detach().clone()
    batches = iter(training_loader(scenes, config))
    batch = next(batches)
    finite_loss(task, batch).backward()
    optimizer.step()
    assert not torch.equal(before, trained)
    if not backward_twice:
        with torch.no_grad():
            finite_loss(task, batch)
        return
    optimizer.zero_grad()
    finite_loss(task, next(batches)).backward()
    optimizer.step()


def finite_loss(task: PanopticTask, batch: tuple) -> torch.Tensor:
    losses, _ = task.losses(*batch)
    total = sum(losses.values())
    assert torch.isfinite(total)
    return total
