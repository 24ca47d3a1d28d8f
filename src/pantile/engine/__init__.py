"""Training and evaluation on Lightning."""

from pantile.contracts.lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "config": ("AverageConfig", "OptimizerConfig", "RunConfig", "TrainingConfig"),
    },
)
