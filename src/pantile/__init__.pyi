"""What type checkers read in place of ``__init__.py``, whose names load on first use."""

from pantile.cli.functions import evaluate as evaluate
from pantile.cli.functions import predict as predict
from pantile.cli.functions import train as train
from pantile.contracts.errors import UserError as UserError
from pantile.contracts.outputs import CenterOutput as CenterOutput
from pantile.contracts.outputs import MaskOutput as MaskOutput
from pantile.contracts.outputs import SemanticOutput as SemanticOutput
from pantile.contracts.panoptic import PanopticMap as PanopticMap
from pantile.contracts.panoptic import Segment as Segment
from pantile.contracts.placement import Placement as Placement
from pantile.contracts.targets import PanopticTargets as PanopticTargets
from pantile.contracts.taxonomy import ClassInfo as ClassInfo
from pantile.contracts.taxonomy import Taxonomy as Taxonomy
from pantile.contracts.taxonomy import plain_taxonomy as plain_taxonomy
from pantile.data.coco_panoptic import CocoPanoptic as CocoPanoptic
from pantile.data.dataset import open_dataset as open_dataset
from pantile.data.scenes import Scenes as Scenes
from pantile.losses.centers import CenterCriterionConfig as CenterCriterionConfig
from pantile.losses.kmax import KMaXCriterionConfig as KMaXCriterionConfig
from pantile.losses.panoptic_fcn import PanopticFCNCriterionConfig as PanopticFCNCriterionConfig
from pantile.losses.registry import create_criterion as create_criterion
from pantile.losses.semantic_criterion import SemanticCriterionConfig as SemanticCriterionConfig
from pantile.losses.set_criterion import SetCriterionConfig as SetCriterionConfig
from pantile.losses.set_criterion import maskformer_criterion as maskformer_criterion
from pantile.merge.center_config import CenterMergeConfig as CenterMergeConfig
from pantile.merge.mask_config import MaskMergeConfig as MaskMergeConfig
from pantile.merge.merging import merge as _merge
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig as PanopticFCNMergeConfig
from pantile.merge.query_config import QueryMergeConfig as QueryMergeConfig
from pantile.merge.semantic_config import SemanticMergeConfig as SemanticMergeConfig
from pantile.metrics.panoptic_quality import PanopticQuality as PanopticQuality
from pantile.metrics.segmentation_tracking_quality import SegmentationTrackingQuality as SegmentationTrackingQuality
from pantile.metrics.track_average_precision import TrackAveragePrecision as TrackAveragePrecision
from pantile.metrics.video_consistency import VideoConsistency as VideoConsistency
from pantile.metrics.video_panoptic_quality import VideoPanopticQuality as VideoPanopticQuality
from pantile.model_check import check_model as check_model
from pantile.models.base import PanopticModel as PanopticModel
from pantile.models.cmt_config import cmt_nano_config as cmt_nano_config
from pantile.models.deeplabv3 import deeplabv3_nano_config as deeplabv3_nano_config
from pantile.models.kmax import kmax_nano_config as kmax_nano_config
from pantile.models.mask2former import mask2former_nano_config as mask2former_nano_config
from pantile.models.maskformer import maskformer_nano_config as maskformer_nano_config
from pantile.models.max_deeplab import max_nano_config as max_nano_config
from pantile.models.panoptic_deeplab import panoptic_deeplab_nano_config as panoptic_deeplab_nano_config
from pantile.models.panoptic_fcn import panoptic_fcn_nano_config as panoptic_fcn_nano_config
from pantile.models.segmenter import segmenter_nano_config as segmenter_nano_config
from pantile.models.semask import semask_nano_config as semask_nano_config
from pantile.models.upernet import upernet_nano_config as upernet_nano_config
from pantile.models.vit_adapter import vit_adapter_nano_config as vit_adapter_nano_config
from pantile.predict.loading import load as load
from pantile.predict.predictor import Predictor as Predictor
from pantile.predict.result import PanopticResult as PanopticResult
from pantile.recipes.model_by_name import create_model as create_model
from pantile.recipes.registry import list_recipes as list_recipes
from pantile.recipes.registry import make_recipe as make_recipe
from pantile.techniques.base import build_techniques as build_techniques
from pantile.techniques.config import TechniquesConfig as TechniquesConfig
from pantile.techniques.intra_batch import IntraBatchConfig as IntraBatchConfig
from pantile.techniques.rankseg import RankSegConfig as RankSegConfig
from pantile.techniques.reclass import ReClassConfig as ReClassConfig
from pantile.techniques.remask import ReMaskConfig as ReMaskConfig
from pantile.techniques.training_losses import losses_with as losses_with

merge_outputs = _merge  # its package is called pantile.merge

__version__: str
__all__: list[str]
