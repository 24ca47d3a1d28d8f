"""What type checkers read in place of ``__init__.py``, whose names load on first use."""

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
from pantile.data import CocoPanoptic as CocoPanoptic
from pantile.data import Scenes as Scenes
from pantile.data import open_dataset as open_dataset
from pantile.losses import CenterCriterionConfig as CenterCriterionConfig
from pantile.losses import KMaXCriterionConfig as KMaXCriterionConfig
from pantile.losses import PanopticFCNCriterionConfig as PanopticFCNCriterionConfig
from pantile.losses import SemanticCriterionConfig as SemanticCriterionConfig
from pantile.losses import SetCriterionConfig as SetCriterionConfig
from pantile.losses import maskformer_criterion as maskformer_criterion
from pantile.losses.registry import create_criterion as create_criterion
from pantile.merge import CenterMergeConfig as CenterMergeConfig
from pantile.merge import MaskMergeConfig as MaskMergeConfig
from pantile.merge import PanopticFCNMergeConfig as PanopticFCNMergeConfig
from pantile.merge import QueryMergeConfig as QueryMergeConfig
from pantile.merge import SemanticMergeConfig as SemanticMergeConfig
from pantile.merge import merge as _merge
from pantile.metrics import PanopticQuality as PanopticQuality
from pantile.metrics import SegmentationTrackingQuality as SegmentationTrackingQuality
from pantile.metrics import TrackAveragePrecision as TrackAveragePrecision
from pantile.metrics import VideoConsistency as VideoConsistency
from pantile.metrics import VideoPanopticQuality as VideoPanopticQuality
from pantile.model_check import check_model as check_model
from pantile.models import PanopticModel as PanopticModel
from pantile.models import cmt_nano_config as cmt_nano_config
from pantile.models import deeplabv3_nano_config as deeplabv3_nano_config
from pantile.models import kmax_nano_config as kmax_nano_config
from pantile.models import mask2former_nano_config as mask2former_nano_config
from pantile.models import maskformer_nano_config as maskformer_nano_config
from pantile.models import max_nano_config as max_nano_config
from pantile.models import panoptic_deeplab_nano_config as panoptic_deeplab_nano_config
from pantile.models import panoptic_fcn_nano_config as panoptic_fcn_nano_config
from pantile.models import segmenter_nano_config as segmenter_nano_config
from pantile.models import semask_nano_config as semask_nano_config
from pantile.models import upernet_nano_config as upernet_nano_config
from pantile.models import vit_adapter_nano_config as vit_adapter_nano_config
from pantile.predict import PanopticResult as PanopticResult
from pantile.predict import Predictor as Predictor
from pantile.predict import load as load
from pantile.recipes import create_model as create_model
from pantile.recipes import list_recipes as list_recipes
from pantile.recipes import make_recipe as make_recipe
from pantile.techniques import IntraBatchConfig as IntraBatchConfig
from pantile.techniques import RankSegConfig as RankSegConfig
from pantile.techniques import ReClassConfig as ReClassConfig
from pantile.techniques import ReMaskConfig as ReMaskConfig
from pantile.techniques import TechniquesConfig as TechniquesConfig
from pantile.techniques import build_techniques as build_techniques
from pantile.techniques import losses_with as losses_with

merge_outputs = _merge  # its package is called pantile.merge

__version__: str
__all__: list[str]
