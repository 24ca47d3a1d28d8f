"""Data: data sets by format, augmentation, samplers and generated scenes."""

from pantile.data.ade20k import Ade20k, open_ade20k
from pantile.data.augment_config import AugmentConfig, PairConfig, PartConfig
from pantile.data.cityscapes import Cityscapes
from pantile.data.coco_panoptic import CocoPanoptic, available_splits
from pantile.data.dataset import PanopticDataset, open_dataset
from pantile.data.evaluation_samples import EvaluationBatch, EvaluationSample, EvaluationSamples, collate_evaluation
from pantile.data.fit import FitConfig, fit_placement
from pantile.data.layouts import LAYOUTS, Layout, register_layout
from pantile.data.loading import evaluation_loader, training_loader
from pantile.data.mapillary import MapillaryInstances, open_mapillary
from pantile.data.paired_crops import PairedCropSampler
from pantile.data.renumbered import Renumbered, with_classes
from pantile.data.resize import fit_to
from pantile.data.sampler import InfiniteSampler
from pantile.data.samples import Sample, Samples
from pantile.data.scenes import Scenes
from pantile.data.subset import Subset, first_images
from pantile.data.training_samples import TrainingSample, TrainingSamples, collate
from pantile.data.vocabulary_scenes import VocabularyScenes
from pantile.data.write_coco import write_coco_panoptic

__all__ = [
    "LAYOUTS",
    "Ade20k",
    "AugmentConfig",
    "Cityscapes",
    "CocoPanoptic",
    "EvaluationBatch",
    "EvaluationSample",
    "EvaluationSamples",
    "FitConfig",
    "InfiniteSampler",
    "Layout",
    "MapillaryInstances",
    "PairConfig",
    "PairedCropSampler",
    "PanopticDataset",
    "PartConfig",
    "Renumbered",
    "Sample",
    "Samples",
    "Scenes",
    "Subset",
    "TrainingSample",
    "TrainingSamples",
    "VocabularyScenes",
    "available_splits",
    "collate",
    "collate_evaluation",
    "evaluation_loader",
    "first_images",
    "fit_placement",
    "fit_to",
    "open_ade20k",
    "open_dataset",
    "open_mapillary",
    "register_layout",
    "training_loader",
    "with_classes",
    "write_coco_panoptic",
]
