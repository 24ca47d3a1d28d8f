"""What happens inside a model on the way to a prediction, as PNGs: ``pantile predict --inside DIR``."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from pantile.contracts.atomic import replacing
from pantile.data.image_files import as_rgb
from pantile.predict.images import ImageFile
from pantile.predict.predictor import Predictor, as_pixels
from pantile.visualize import draw_inside


def write_inside(predictor: Predictor, images: Iterable[ImageFile], folder: Path) -> list[Path]:
    """``folder/NAME_1.png``, ``NAME_2.png``, ... of each image: the figures that a report shows.

    The network sees the whole image in one view. What there is to see depends on the kind of its output.
    """
    written = []
    channels = predictor.task.config.model.in_channels
    for image in images:
        pixels = as_pixels(image.path, channels, predictor.reading, predictor.orientation)
        output, placement = predictor.outputs(pixels, layer_outputs=True)
        inside = draw_inside(output, image.name, as_rgb(pixels), placement, predictor.taxonomy)
        for number, (figure, _) in enumerate(inside.figures, 1):
            path = folder / f"{image.stem}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                Image.fromarray(figure).save(temporary, format="PNG")
            written.append(path)
    return written
