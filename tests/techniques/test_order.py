"""Any two techniques give the same losses whichever comes first."""

import itertools
from dataclasses import replace
from functools import cache

import pytest
import torch

from pantile.contracts.outputs import LabelMix, MaskOutput
from pantile.contracts.targets import PanopticTargets
from pantile.data import Scenes
from pantile.engine.loaders import training_loader
from pantile.engine.task import PanopticTask
from pantile.recipes import make_recipe
from pantile.techniques import TECHNIQUES, Technique, TechniquesConfig, build_techniques, losses_of
from pantile.techniques.base import rewrite_all
from tiny_runs import tiny


class Smoothing(Technique):
    """A second technique that softens class targets, which none of ours is beside ReClass."""

    def before_loss(self, output: MaskOutput, raw: MaskOutput, targets: PanopticTargets) -> MaskOutput:
        uniform = torch.full_like(output.class_logits[..., :-1], 1 / output.num_classes)
        mixed = [each.softened(LabelMix(uniform, 0.1)) for each in (*output.layers, output)]
        return replace(mixed[-1], layers=tuple(mixed[:-1]))


@cache
def step():
    """A task without techniques, its output for two images, and their targets."""
    config = make_recipe("kmax_nano")
    config.augment.crop = (64, 64)
    config.training.effective_batch, config.training.workers, config.training.precision = 2, 0, "fp32"
    config.criterion.instance_samples = config.criterion.semantic_samples = 64
    scenes = Scenes(2, size=(64, 64), seed=3)
    task = PanopticTask(config, scenes.taxonomy).train()
    images, targets = next(iter(training_loader(scenes, config)))
    with torch.no_grad():
        return task, task(images, targets.padding), targets


@cache
def technique(name: str) -> Technique:
    if name == "smoothing":
        return Smoothing()
    task, _, _ = step()
    config = TechniquesConfig(**{name: tiny(TECHNIQUES[name]())})
    return build_techniques(config, task.model, task.taxonomy)[name]


#: those of a model with queries; what only fits pixel classifiers acts inside of them
OF_QUERIES = [name for name, make in sorted(TECHNIQUES.items()) if "mask_spec" in make().make().needs]


@pytest.mark.parametrize(("one", "other"), itertools.combinations([*OF_QUERIES, "smoothing"], 2))
@torch.no_grad()
def test_two_techniques_commute(one, other):
    task, output, targets = step()
    losses = []
    for names in ((one, other), (other, one)):
        techniques = {name: technique(name) for name in names}  # building draws random numbers
        torch.manual_seed(5)
        rewritten = rewrite_all(techniques.values(), output)
        losses.append(losses_of(rewritten, techniques, task.criterion, targets)[0])
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name], msg=name)


@torch.no_grad()
def test_two_softened_targets_both_count():
    """The later used to replace the earlier."""
    task, output, targets = step()
    values = []
    for names in (["reclass"], ["smoothing"], ["reclass", "smoothing"]):
        torch.manual_seed(5)
        values.append(losses_of(output, {n: technique(n) for n in names}, task.criterion, targets)[0]["class"].item())
    assert len(set(values)) == 3
