"""check_model(): what an architecture lacks for all verbs to work with it."""

from pantile.engine.config import RunConfig
from pantile.losses.criterion import CriterionConfig
from pantile.merge import MergeConfig
from pantile.model_check.building import BUILDING_CHECKS, FURTHER_BUILDING_CHECKS
from pantile.model_check.config_fields import CONFIG_CHECKS
from pantile.model_check.finding import Check, findings_of
from pantile.model_check.names import NAME_CHECKS
from pantile.model_check.outputs import OUTPUT_CHECKS
from pantile.model_check.subject import Subject
from pantile.model_check.training import TRAINING_CHECKS
from pantile.models import ModelConfig

#: what has to hold before the next group can be tried
STAGES: tuple[tuple[Check, ...], ...] = (
    CONFIG_CHECKS[:1],
    CONFIG_CHECKS[1:2],
    BUILDING_CHECKS,
    (*CONFIG_CHECKS[2:], *FURTHER_BUILDING_CHECKS, *NAME_CHECKS, *OUTPUT_CHECKS, *TRAINING_CHECKS),
)


def check_model(
    model: str | ModelConfig | RunConfig,
    criterion: CriterionConfig | None = None,
    merge: MergeConfig | None = None,
    round_trips: bool = True,
) -> list[str]:
    """Tries everything that any verb needs of an architecture.

    In a test of a package of one's own: ``assert pantile.check_model("my_model_nano") == []``. A small config keeps it
    to seconds; images are of 65 x 97 pixels, on the CPU, and no weights are downloaded.

    Args:
        model: the name of a recipe or of an architecture (then of its smallest recipe, else its config's defaults), or
            a config of a model or of a run.
        criterion: in place of the recipe's; without a recipe it has to be given, as ``merge``.
        merge: in place of the recipe's.
        round_trips: also train two steps, save, load, eval, predict and report, in a temporary folder.

    Returns:
        A sentence for each thing that fails, with what to do about it; [] where nothing does. What cannot be tried
        before something else is mended is not told yet.

    Raises:
        UserError: there is no recipe and no architecture of this name.
    """
    subject = Subject(model, criterion, merge)
    for stage in STAGES:
        sentences = [sentence for check in stage for sentence in findings_of(check, subject)]
        if sentences:
            return sentences
    if not round_trips:
        return []
    from pantile.model_check.round_trips import findings_of_round_trips  # here: the verbs take time to import

    return findings_of_round_trips(subject)
