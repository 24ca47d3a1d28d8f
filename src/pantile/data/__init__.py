"""Data: data sets by format, augmentation, samplers and generated scenes."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ade20k": ("Ade20k", "open_ade20k"),
        "augment_config": ("AugmentConfig", "PairConfig", "PartConfig"),
        "cityscapes": ("Cityscapes",),
        "coco_panoptic": ("CocoPanoptic",),
        "coco_panoptic_files": ("available_splits",),
        "dataset": ("PanopticDataset", "open_dataset"),
        "evaluation_samples": ("EvaluationBatch", "EvaluationSample", "EvaluationSamples", "collate_evaluation"),
        "fit": ("FitConfig", "fit_placement"),
        "layouts": ("LAYOUTS", "Layout", "register_layout"),
        "loading": ("evaluation_loader", "training_loader"),
        "mapillary": ("MapillaryInstances", "open_mapillary"),
        "paired_crops": ("PairedCropSampler",),
        "renumbered": ("Renumbered", "with_classes"),
        "resize": ("fit_to",),
        "sampler": ("InfiniteSampler",),
        "samples": ("Sample", "Samples"),
        "scenes": ("Scenes",),
        "subset": ("Subset", "first_images"),
        "training_samples": ("TrainingSample", "TrainingSamples", "collate"),
        "vocabulary_scenes": ("VocabularyScenes",),
        "write_coco": ("write_coco_panoptic",),
    },
)
