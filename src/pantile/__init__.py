"""Pantile: panoptic segmentation in PyTorch. Every pixel gets exactly one tile.

The command line (``pantile --help``) trains, evaluates, predicts and looks. As a library:

**Use a trained model.** ``load`` opens a run or a file of weights as a ``Predictor``; called with an image it gives a
``PanopticResult``.

**Run the verbs.** ``train``, ``evaluate`` and ``predict`` are ``pantile train``, ``eval`` and ``predict`` with their
options: ``pantile.train("remax_nano", "scenes", out="runs/first", set={"training.steps": 200})``.

**Describe classes and labels.** A ``Taxonomy`` of ``ClassInfo`` (``plain_taxonomy`` makes one from names) is the only
source of class counts; a ``PanopticMap`` is an id per pixel and a table of ``Segment``. ``open_dataset`` reads a folder
in any known layout, ``CocoPanoptic`` one of them, and ``Scenes`` draws images when there are none.

**Train in a loop of your own.** A recipe (``list_recipes``, ``make_recipe``) holds configs that fit each other::

    recipe = pantile.make_recipe("mask2former_nano")
    model = pantile.create_model(recipe.model, taxonomy)             # or by name: create_model("mask2former_nano", ...)
    criterion = pantile.create_criterion(recipe.criterion, taxonomy)
    techniques = pantile.build_techniques(recipe.techniques, model, taxonomy)

    targets = pantile.PanopticTargets.from_maps(maps, taxonomy)
    losses = pantile.losses_with(model, techniques, criterion, model.normalised(images), targets)
    sum(losses.values()).backward()

    output = model.eval()(model.normalised(images))                  # a MaskOutput, CenterOutput or SemanticOutput
    predictions = pantile.merge_outputs(output, taxonomy, recipe.merge, [pantile.Placement.whole((height, width))])

``model.normalised`` takes pixels of 0..255 to what the model was made for. The same by hand, from configs:

- models: ``kmax_nano_config``, ``max_nano_config``, ``cmt_nano_config``, ``mask2former_nano_config``,
  ``maskformer_nano_config``, ``semask_nano_config``, ``vit_adapter_nano_config``, ``panoptic_deeplab_nano_config``,
  ``panoptic_fcn_nano_config``, ``segmenter_nano_config``, ``deeplabv3_nano_config``, ``upernet_nano_config``;
  ``create_model`` gives a ``PanopticModel`` of these and of any other config.
- criteria: ``KMaXCriterionConfig``, ``SetCriterionConfig``, ``maskformer_criterion``, ``CenterCriterionConfig``,
  ``PanopticFCNCriterionConfig``, ``SemanticCriterionConfig``.
- merges: ``MaskMergeConfig``, ``QueryMergeConfig``, ``CenterMergeConfig``, ``PanopticFCNMergeConfig``,
  ``SemanticMergeConfig``.
- techniques: ``TechniquesConfig`` of ``ReMaskConfig``, ``ReClassConfig``, ``IntraBatchConfig``, ``RankSegConfig``.

**Measure.** ``PanopticQuality`` is a torchmetrics metric, equal to panopticapi on valid input; of videos,
``SegmentationTrackingQuality`` (STQ), ``VideoPanopticQuality`` (VPQ), ``VideoConsistency`` (VC) and
``TrackAveragePrecision`` are equal to their data sets' own evaluations.

**Add parts of your own**, in a package of your own: ``check_model`` says what an architecture lacks. Bad input ends in
a ``UserError`` of one sentence.

The names below load on first use, so that ``import pantile`` and ``pantile --help`` are instant.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

#: name -> the module that has it; in ``merge_outputs`` under another name, because ``pantile.merge`` is a package
_HOME = {
    "CenterCriterionConfig": "pantile.losses.centers",
    "CenterMergeConfig": "pantile.merge.center_config",
    "CenterOutput": "pantile.contracts.outputs",
    "ClassInfo": "pantile.contracts.taxonomy",
    "CocoPanoptic": "pantile.data.coco_panoptic",
    "IntraBatchConfig": "pantile.techniques.intra_batch",
    "KMaXCriterionConfig": "pantile.losses.kmax",
    "MaskMergeConfig": "pantile.merge.mask_config",
    "MaskOutput": "pantile.contracts.outputs",
    "PanopticFCNCriterionConfig": "pantile.losses.panoptic_fcn",
    "PanopticFCNMergeConfig": "pantile.merge.panoptic_fcn_config",
    "PanopticMap": "pantile.contracts.panoptic",
    "PanopticModel": "pantile.models.base",
    "PanopticQuality": "pantile.metrics.panoptic_quality",
    "PanopticResult": "pantile.predict.result",
    "PanopticTargets": "pantile.contracts.targets",
    "Placement": "pantile.contracts.placement",
    "Predictor": "pantile.predict.predictor",
    "QueryMergeConfig": "pantile.merge.query_config",
    "RankSegConfig": "pantile.techniques.rankseg",
    "ReClassConfig": "pantile.techniques.reclass",
    "ReMaskConfig": "pantile.techniques.remask",
    "Scenes": "pantile.data.scenes",
    "Segment": "pantile.contracts.panoptic",
    "SegmentationTrackingQuality": "pantile.metrics.segmentation_tracking_quality",
    "SemanticCriterionConfig": "pantile.losses.semantic_criterion",
    "SemanticMergeConfig": "pantile.merge.semantic_config",
    "SemanticOutput": "pantile.contracts.outputs",
    "SetCriterionConfig": "pantile.losses.set_criterion",
    "Taxonomy": "pantile.contracts.taxonomy",
    "TechniquesConfig": "pantile.techniques.config",
    "TrackAveragePrecision": "pantile.metrics.track_average_precision",
    "UserError": "pantile.contracts.errors",
    "VideoConsistency": "pantile.metrics.video_consistency",
    "VideoPanopticQuality": "pantile.metrics.video_panoptic_quality",
    "build_techniques": "pantile.techniques.base",
    "check_model": "pantile.model_check",
    "cmt_nano_config": "pantile.models.cmt_config",
    "create_criterion": "pantile.losses.registry",
    "create_model": "pantile.recipes.model_by_name",
    "deeplabv3_nano_config": "pantile.models.deeplabv3",
    "evaluate": "pantile.cli.functions",
    "kmax_nano_config": "pantile.models.kmax",
    "list_recipes": "pantile.recipes.registry",
    "load": "pantile.predict.loading",
    "losses_with": "pantile.techniques.training_losses",
    "make_recipe": "pantile.recipes.registry",
    "mask2former_nano_config": "pantile.models.mask2former",
    "maskformer_criterion": "pantile.losses.set_criterion",
    "maskformer_nano_config": "pantile.models.maskformer",
    "max_nano_config": "pantile.models.max_deeplab",
    "merge_outputs": "pantile.merge.merging",
    "open_dataset": "pantile.data.dataset",
    "panoptic_deeplab_nano_config": "pantile.models.panoptic_deeplab",
    "panoptic_fcn_nano_config": "pantile.models.panoptic_fcn",
    "plain_taxonomy": "pantile.contracts.taxonomy",
    "predict": "pantile.cli.functions",
    "segmenter_nano_config": "pantile.models.segmenter",
    "semask_nano_config": "pantile.models.semask",
    "train": "pantile.cli.functions",
    "upernet_nano_config": "pantile.models.upernet",
    "vit_adapter_nano_config": "pantile.models.vit_adapter",
}
_RENAMED = {"merge_outputs": "merge"}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'pantile' has no attribute {name!r}")
    from pantile.contracts.full_install import needs_full_install

    with needs_full_install(f"pantile.{name}"):
        return getattr(importlib.import_module(_HOME[name]), _RENAMED.get(name, name))


def __dir__() -> list[str]:
    return sorted(__all__)
