"""Images in, results out."""

from pantile.predict.files import Predicted, PredictOptions, predict_files
from pantile.predict.images import ImageFile, find_images
from pantile.predict.like import read_ground_truth
from pantile.predict.predictor import Predictor, load, predictor_of
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
    "predictor_of",
    "read_ground_truth",
]
