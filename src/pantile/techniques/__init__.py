"""Training techniques: what composes with any model that gives the tensors they need."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "base": ("TECHNIQUES", "Technique", "build_techniques"),
        "config": ("TechniquesConfig",),
        "encnet": ("EncNet", "EncNetConfig"),
        "essnet": ("ESSNet", "ESSNetConfig"),
        "intra_batch": ("IntraBatch", "IntraBatchConfig"),
        "rankseg": ("RankSeg", "RankSegConfig"),
        "reclass": ("ReClass", "ReClassConfig"),
        "remask": ("ReMask", "ReMaskConfig"),
        "training_losses": ("losses_of", "losses_with"),
    },
)
