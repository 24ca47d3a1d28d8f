"""Images in, results out. Called, it is the function ``pantile.predict``, whose name it has."""

import sys
from types import ModuleType
from typing import Any

from pantile.contracts.lazy_names import lazy_names


class _Room(ModuleType):
    """Python puts a package in the place of a function of its name, so the package can be called like one."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        import pantile

        return pantile.__getattr__("predict")(*arguments, **options)


sys.modules[__name__].__class__ = _Room

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "files": ("PredictOptions", "Predicted", "predict_files"),
        "images": ("ImageFile", "find_images"),
        "like": ("read_ground_truth",),
        "loading": ("load",),
        "predictor": ("Predictor", "predictor_of"),
        "result": ("PanopticResult",),
    },
)
