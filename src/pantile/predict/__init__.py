"""Images in, results out."""

from pantile.contracts.lazy_names import lazy_names

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
