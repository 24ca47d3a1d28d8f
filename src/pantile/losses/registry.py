"""From a config to a criterion: one line per family."""

from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.centers import CenterCriterion, CenterCriterionConfig
from pantile.losses.criterion import Criterion
from pantile.losses.kmax import KMaXCriterion, KMaXCriterionConfig
from pantile.losses.panoptic_fcn import PanopticFCNCriterion, PanopticFCNCriterionConfig
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig

CriterionConfig = KMaXCriterionConfig | CenterCriterionConfig | SetCriterionConfig | PanopticFCNCriterionConfig

_CRITERIA = {
    KMaXCriterionConfig: lambda config, taxonomy: KMaXCriterion(config),
    CenterCriterionConfig: lambda config, taxonomy: CenterCriterion(config, taxonomy.is_thing()),
    SetCriterionConfig: lambda config, taxonomy: SetCriterion(config),
    PanopticFCNCriterionConfig: lambda config, taxonomy: PanopticFCNCriterion(config, taxonomy.is_thing()),
}


def create_criterion(config: CriterionConfig, taxonomy: Taxonomy) -> Criterion:
    """The criterion of the kind of output that ``config`` is for."""
    return _CRITERIA[type(config)](config, taxonomy)
