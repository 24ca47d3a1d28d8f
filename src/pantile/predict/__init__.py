"""Images in, results out."""

from pantile.predict.files import Predicted, PredictOptions, predict_files
from pantile.predict.images import ImageFile, find_images
from pantile.predict.like import read_ground_truth
from pantile.predict.predictor import Predictor, load
from pantile.predict.result import PanopticResult

__all__ = [
    "ImageFile",
    "PanopticResult",
    "PredictOptions",
    "Predicted",
    "Predictor",
    "find_images",
    "load",
    "predict_files",
    "read_ground_truth",
]
