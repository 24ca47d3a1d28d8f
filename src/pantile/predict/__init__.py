"""Images in, results out."""

from pantile.predict.files import find_images, predict_files
from pantile.predict.predictor import Predictor, load
from pantile.predict.result import PanopticResult

__all__ = ["PanopticResult", "Predictor", "find_images", "load", "predict_files"]
