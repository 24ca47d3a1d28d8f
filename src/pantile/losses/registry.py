"""From a config to a criterion."""

from pantile.contracts.taxonomy import Taxonomy
from pantile.losses.criterion import CRITERIA, Criterion, CriterionConfig


def create_criterion(config: CriterionConfig, taxonomy: Taxonomy) -> Criterion:
    """The criterion of the kind of output that ``config`` is for.

    Raises:
        UserError: unknown kind.
    """
    return CRITERIA.find(config.kind, "criterion.kind").create(config, taxonomy)
