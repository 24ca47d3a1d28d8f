"""What a resumed run may not change, asked before anything of the run is written."""

from pantile.contracts.errors import UserError
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.task import PanopticTask

#: The checkpoint's optimizer has these already: another value in the config would be written down and not be used.
_OF_THE_OPTIMIZER = (
    "kind",
    "learning_rate",
    "backbone_multiplier",
    "weight_decay",
    "decay_biases",
    "betas",
    "eps",
    "momentum",
)


def check_resumable(task: PanopticTask, resumed: Checkpoint) -> None:
    """
    Args:
        task: as the config now says.
        resumed: the checkpoint to go on from.

    Raises:
        UserError: the config is of another network, of another optimizer, or of fewer steps than are done.
    """
    own = {name: tensor.shape for name, tensor in task.state_dict().items() if name.startswith(("model.", "technique"))}
    given = {name: tensor.shape for name, tensor in resumed.state.items()}
    if others := sorted(name for name in own.keys() | given.keys() if own.get(name) != given.get(name)):
        _refuse(resumed, f"the network is another: {len(others)} tensors differ, such as {others[0]}")
    if (resumed.step or 0) > task.config.training.steps:
        _refuse(resumed, f"training.steps is {task.config.training.steps}, and the run has done {resumed.step}")
    averages = [config.training.average for config in (resumed.config, task.config)]
    if (averages[0] is None) != (averages[1] is None):
        kept = "keeps no" if averages[0] is None else "keeps an"
        _refuse(resumed, f"it {kept} average of its weights, which training.average would change")
    before, now = resumed.config.optimizer, task.config.optimizer
    for name in _OF_THE_OPTIMIZER:
        if getattr(before, name) != getattr(now, name):
            _refuse(resumed, f"optimizer.{name} was {getattr(before, name)}, not {getattr(now, name)}")


def _refuse(resumed: Checkpoint, told: str) -> None:
    raise UserError(
        f"{resumed.path.parent.parent} cannot go on with these settings ({told}): resume without them, or start a new "
        "run with --init."
    )
