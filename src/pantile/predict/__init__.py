"""Images in, results out."""

from pantile.contracts.lazy_names import lazy_names

#: name -> the module that has it
_HOMES = {
    "Predicted": "files",
    "PredictOptions": "files",
    "predict_files": "files",
    "ImageFile": "images",
    "find_images": "images",
    "read_ground_truth": "like",
    "Predictor": "predictor",
    "load": "loading",
    "predictor_of": "predictor",
    "PanopticResult": "result",
}

__all__ = [
    "ImageFile",
    "PanopticResult",
    "PredictOptions",
    "Predicted",
    "Predictor",
    "find_images",
    "load",
    "predict_files",
    "predictor_of",
    "read_ground_truth",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
