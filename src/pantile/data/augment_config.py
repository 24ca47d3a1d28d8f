"""AugmentConfig: what a training sample's recipe can say."""

from dataclasses import dataclass
from typing import Literal

from pantile.contracts.errors import UserError
from pantile.data.clip_config import ClipConfig


@dataclass
class PairConfig:
    """Paired crops (Intra-Batch Supervision, section 4.2): samples 2i and 2i + 1 of a batch show the same class.

    The device batch must be even. A thing's box gets about the target size; stuff is scaled as the recipe says. Then
    both scales are limited: the image's shorter side to a range, and its longer side.

    Attributes:
        target_sizes: in pixels, of which one is drawn for each pair: the root of the area of a thing's box.
        min_short_side: of the scaled image; None is the crop's shorter side (Cityscapes 512, Mapillary Vistas 1024,
            which is the same).
        max_short_side: of the scaled image; None is six times the crop's shorter side (Cityscapes 3096, Mapillary
            Vistas 6192, which is nearly the same).
        max_long_side: of the scaled image, also where it is then smaller than ``min_short_side`` (Cityscapes 6192,
            Mapillary Vistas 9288); None is no limit.
    """

    target_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    min_short_side: int | None = None
    max_short_side: int | None = None
    max_long_side: int | None = None

    def short_sides(self, crop: tuple[int, int]) -> tuple[int, int]:
        """Smallest and largest shorter side of the scaled image for a (height, width) of crops."""
        low = min(crop) if self.min_short_side is None else self.min_short_side
        return low, 6 * min(crop) if self.max_short_side is None else self.max_short_side

    def check(self, crop: tuple[int, int]) -> None:
        """Raises UserError for values that make no sense."""
        if min(self.target_sizes, default=0) < 1:
            raise UserError(
                f"augment.pairs.target_sizes is {self.target_sizes}: list at least one size, each at least 1 pixel."
            )
        for field in ("min_short_side", "max_short_side", "max_long_side"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise UserError(f"augment.pairs.{field} is {value}: it must be at least 1 pixel.")
        low, high = self.short_sides(crop)
        if low > high:
            raise UserError(
                f"augment.pairs limits the shorter side to {low}..{high}: give max_short_side >= min_short_side."
            )


@dataclass
class PartConfig:
    """Some samples see a part of their image only, and the recipe takes it for the whole image (DETR).

    Attributes:
        probability: of taking a part.
        short_side: lengths in pixels, of which one is drawn for the image's shorter side.
        sides: smallest and largest height and width of the part in pixels of that scale, each drawn on its own; an
            image that is smaller is kept whole along that side.
    """

    probability: float = 0.5
    short_side: tuple[int, ...] = (400, 500, 600)
    sides: tuple[int, int] = (384, 600)

    def check(self) -> None:
        """Raises UserError for values that make no sense."""
        if not 0 <= self.probability <= 1:
            raise UserError(f"augment.part.probability is {self.probability}: a probability lies in 0..1.")
        if min(self.short_side, default=0) < 1:
            raise UserError(
                f"augment.part.short_side is {self.short_side}: list at least one length, each at least 1 pixel."
            )
        if not 1 <= self.sides[0] <= self.sides[1]:
            raise UserError(f"augment.part.sides is {self.sides}: give 1 <= smallest <= largest.")


@dataclass
class AugmentConfig:
    """How a training sample is made. Defaults are near those of kMaX-DeepLab and ReMaX on COCO.

    Large-scale jittering (Ghiasi et al. 2021) as Mask2Former uses it on COCO: crop (1024, 1024), scale_range (0.1, 2.0)
    relative to "fit", pad_position "bottom_right", neither colour nor copy-paste nor redraws.

    Attributes:
        crop: (height, width) of the sample in pixels, with ``pad`` "batch" the largest that it may have. 32k+1 keeps
            corners aligned at every stride (kMaX: 1281 or 641 squared on COCO and ADE20K, 1025x2049 on Cityscapes);
            any size works.
        scale_range: smallest and largest random scale (ReMaX, deeplab2: 0.3-1.7 on COCO; 0.5-2.0 on Cityscapes and
            ADE20K; the PyTorch port of kMaX: 0.2-2.0 on COCO).
        scale_step: spacing of the scales within the range, 0 for any (deeplab2: 0.1).
        scale_relative_to: what scale 1 means: "fit", the largest size that fits the crop (COCO, ADE20K); "long_side",
            the size at which the image's longer side equals the crop's longer side, so that the shorter one may
            exceed it (Mapillary Vistas); or "native", the size on disk (Cityscapes).
        short_side: lengths in pixels, of which one is drawn and given to the image's shorter side, in place of the
            three fields above (Mask2Former: ``int(0.1 * x * S)`` for x = 5..20 with S = 640 on ADE20K, 1024 on
            Cityscapes, 2048 on Mapillary Vistas); empty is off.
        max_side: with ``short_side``, the longer side's limit; an image that would exceed it is made smaller
            (Mask2Former: 4 S). None is no limit.
        single_category_max_area: a crop in which one class covers this share of the labelled pixels or more, or which
            shows fewer than two classes, is drawn anew, up to ten draws; then it is kept (mmsegmentation: 0.75).
            1 takes every crop (Mask2Former).
        crop_on_thing: the crop contains the centre of a random thing of the image, where it has one (Panoptic FCN on
            Cityscapes and Mapillary Vistas). With ``pairs`` it has no effect: they choose what a crop contains.
        flip: probability of a horizontal flip.
        ssd_jitter: the colour jitter of SSD (PyTorch port of kMaX; Mask2Former but for COCO).
        policy_magnitude: strength of the AutoAugment colour policy: 0 is off, 0.2 are the magnitudes that SWideRNet
            prints (Table 2) and that deeplab2 uses on Cityscapes and for Panoptic-DeepLab, 1 is what deeplab2's
            kMaX-DeepLab has on COCO and ADE20K.
        pad_position: where a small image lies: "random" anywhere (deeplab2), so that pasted segments land anywhere, or
            "bottom_right" with all padding there (PyTorch port of kMaX, Mask2Former).
        pad: what a smaller image is padded to: "crop", every sample to the crop; or "batch", the images that a device
            sees at once to the largest of them, at the bottom and right (detectron2; MaskFormer and Panoptic FCN on
            COCO). So with "batch" the loss of an image depends on its neighbours as far as the network and the
            criterion look at padding, and on ``training.device_batch``: a device's batch of one or two images, as in
            the originals, has least of it.
        pad_multiple: with ``pad`` "batch", both sides become multiples of this.
        pad_value: 0..255, what ``pad`` "crop" pads with, before the normalisation (Mask2Former, and MaskFormer where
            it crops: 128). None pads with 0 after the normalisation, which is the mean colour (kMaX-DeepLab,
            deeplab2), as "batch" and all inference do.
        copy_paste: probability of panoptic copy-paste from a second image (kMaX: always).
        copy_paste_scale: the second image's scale is multiplied by this (kMaX: 0.5).
        min_pixels: a target with fewer pixels after the crop is removed and becomes void.
        redraws: how often a sample without targets (or with too few labelled pixels) is drawn anew, from another
            image; then it is kept. 0 keeps every sample, also images without any object.
        min_labelled_pixels: what counts as too few for a redraw (the PyTorch port of kMaX wants more than 4096 at
            stride 4, thus 65536).
        filter_empty: images without a thing that is no crowd are never drawn (detectron2 in instance segmentation).
        repeat_threshold: class-balanced sampling: images with classes that fewer than this share of the images show are
            drawn more often, by the repeat factors of LVIS (0.001 there; see ``data/repeat_factor.py``). 0 is off: an
            epoch shows every image once.
        part: a random part of the image first (DETR, MaskFormer on COCO). None is off.
        pairs: paired crops: two samples side by side show the same class at about the same size. None is off: images
            come in shuffled epochs. A redraw keeps the image and draws another segment of the class, and what is
            pasted by copy-paste may cover the segment.
        clip: samples are clips of videos, whose frames are treated alike; batches count clips. None takes single
            images, of videos each frame as an image.
    """

    crop: tuple[int, int] = (641, 641)
    scale_range: tuple[float, float] = (0.3, 1.7)
    scale_step: float = 0.0
    scale_relative_to: Literal["fit", "long_side", "native"] = "fit"
    short_side: tuple[int, ...] = ()
    max_side: int | None = None
    single_category_max_area: float = 1.0
    crop_on_thing: bool = False
    flip: float = 0.5
    ssd_jitter: bool = True
    policy_magnitude: float = 0.0
    pad_position: Literal["random", "bottom_right"] = "random"
    pad: Literal["crop", "batch"] = "crop"
    pad_multiple: int = 32
    pad_value: int | None = None
    copy_paste: float = 1.0
    copy_paste_scale: float = 0.5
    min_pixels: int = 1
    redraws: int = 10
    min_labelled_pixels: int = 1
    filter_empty: bool = False
    repeat_threshold: float = 0.0
    part: PartConfig | None = None
    pairs: PairConfig | None = None
    clip: ClipConfig | None = None

    def check(self) -> None:
        """Raises UserError for values that make no sense."""
        if min(self.crop) < 1:
            raise UserError(f"augment.crop is {self.crop}: height and width must be at least 1.")
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise UserError(f"augment.scale_range is {self.scale_range}: give 0 < smallest <= largest.")
        if min(self.short_side, default=1) < 1:
            raise UserError(f"augment.short_side is {self.short_side}: every length must be at least 1 pixel.")
        if self.max_side is not None and not self.short_side:
            raise UserError(f"augment.max_side is {self.max_side} without augment.short_side: give both or neither.")
        if self.max_side is not None and self.max_side < 1:
            raise UserError(f"augment.max_side is {self.max_side}: it must be at least 1 pixel.")
        if not 0 < self.single_category_max_area <= 1:
            raise UserError(
                f"augment.single_category_max_area is {self.single_category_max_area}: "
                "give a share above 0, or 1 to take every crop."
            )
        if self.copy_paste_scale <= 0:
            raise UserError(f"augment.copy_paste_scale is {self.copy_paste_scale}: it must be above 0.")
        if self.pad == "batch" and self.pad_position != "bottom_right":
            raise UserError(
                "augment.pad=batch pads at the bottom and right: set augment.pad_position=bottom_right, too."
            )
        if self.pad_multiple < 1:
            raise UserError(f"augment.pad_multiple is {self.pad_multiple}: it must be at least 1 pixel.")
        if self.pad_value is not None and not 0 <= self.pad_value <= 255:
            raise UserError(f"augment.pad_value is {self.pad_value}: give 0..255, or null for the mean colour.")
        for field in ("flip", "copy_paste"):
            if not 0 <= getattr(self, field) <= 1:
                raise UserError(f"augment.{field} is {getattr(self, field)}: a probability lies in 0..1.")
        for field in ("scale_step", "policy_magnitude", "min_pixels", "redraws", "min_labelled_pixels"):
            if getattr(self, field) < 0:
                raise UserError(f"augment.{field} is {getattr(self, field)}: it must not be negative.")
        if not 0 <= self.repeat_threshold <= 1:
            raise UserError(f"augment.repeat_threshold is {self.repeat_threshold}: a share of the images lies in 0..1.")
        if self.repeat_threshold and (self.pairs is not None or self.clip is not None):
            raise UserError(
                "augment.repeat_threshold chooses single images, which augment.pairs and augment.clip choose in their "
                "own way: set it to 0, or those to null."
            )
        if self.part is not None:
            self.part.check()
            if self.pairs is not None or self.crop_on_thing:
                raise UserError("augment.part may leave out what pairs and crop_on_thing must show: set part=null.")
        if self.pairs is not None:
            self.pairs.check(self.crop)
        if self.clip is not None:
            self.clip.check()
            if self.copy_paste > 0 or self.pairs is not None or self.filter_empty:
                raise UserError("augment.clip goes with neither copy_paste, pairs nor filter_empty: switch them off.")
