"""``training.shard=full``: parameters, gradients and the optimizer's state are shared out over the processes.

Fully sharded data parallelism: the third stage of ZeRO (Rajbhandari et al., arXiv:1910.02054), with torch's
``fully_shard``. A block's parameters are put together when it runs and given up again; what a process holds all the
time is its part of them. Files are those of a run without: the first process puts every tensor together as it saves.
"""

from typing import Any

import lightning as L
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch import Tensor, optim
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from pantile.contracts.errors import UserError
from pantile.engine.config import TrainingConfig
from pantile.engine.shards import gathered_on_first, part_of
from pantile.models.gradient_checkpointing import blocks_of


def check_shard(config: TrainingConfig, processes: int) -> bool:
    """Whether the weights of a run on so many processes are shared out.

    Raises:
        UserError: together with ``training.compile``.
    """
    if config.shard == "none" or processes == 1:
        return False
    if config.compile:
        raise UserError(
            "training.shard=full puts weights together between the operations that training.compile makes one of: set "
            "one of them back."
        )
    return True


def shard(task: L.LightningModule, mesh: DeviceMesh) -> None:
    """In place; tensors keep their names. Each residual block and each layer of a transformer is a unit, the rest of
    the task (stems, heads, techniques) is another, which is whole from the start of a step until its backward pass.

    Args:
        task: with ``model``; all processes hold the same weights.
        mesh: (processes,)
    """
    if isinstance(task, FSDPModule):
        return
    for block in blocks_of(task.model).values():
        fully_shard(block, mesh=mesh)
    fully_shard(task, mesh=mesh)


def strategy_of(processes: int, sharded: bool) -> Strategy | str:
    """How Lightning is to run on so many processes."""
    if processes == 1:
        return "auto"
    return ShardedStrategy(processes) if sharded else "ddp"


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's strategy for ``fully_shard`` with checkpoints of whole tensors, in the form that every other run has.

    Lightning's own gather of an optimizer that has made no step makes one, so that AdamW would count from 1. It would
    also put callbacks back after ``on_fit_start``.

    Validations run with whole weights: images differ in their number of windows and processes in their number of
    images, and nobody could put a block together that another process does not run.
    """

    restore_checkpoint_after_setup = False
    lightning_restore_optimizer = True

    def __init__(self, processes: int) -> None:
        super().__init__(data_parallel_size=processes, tensor_parallel_size=1, save_distributed_checkpoint=False)

    def training_step(self, *arguments: Any, **options: Any) -> Any:
        with self.precision_plugin.train_step_context():
            return self._through_root("training_step", *arguments, **options)

    def validation_step(self, *arguments: Any, **options: Any) -> Any:
        with self.precision_plugin.val_step_context():
            return self._through_root("validation_step", *arguments, **options)

    def _through_root(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Runs a method of the task as its ``forward``, around which weights are put together.

        Raises:
            UserError: the model reads parameters of a block when the block does not run.
        """
        try:
            return self._forward_redirection(self.model, self.lightning_module, method, *arguments, **options)
        except RuntimeError as error:
            if "mixed torch.Tensor and DTensor" not in str(error):
                raise
            raise UserError(
                f"{type(self.lightning_module.model).__name__.removeprefix('FSDP')} calls a part of one of its blocks "
                "without the block, so its weights cannot be shared out: set training.shard=none."
            ) from error

    def on_validation_start(self) -> None:
        self._keep_whole(True)
        if self.lightning_module.average is not None:
            self.lightning_module.average.gather()

    def on_validation_end(self) -> None:
        if self.lightning_module.average is not None:
            self.lightning_module.average.release()
        self._keep_whole(False)

    def _keep_whole(self, whole: bool) -> None:
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                if module is not self.model:  # which is whole between the two passes anyway
                    module.set_reshard_after_forward(not whole, recurse=False)
                if whole:
                    module.unshard()
                else:
                    module.reshard()

    def lightning_module_state_dict(self) -> dict[str, Tensor]:
        """Whole on the first process."""
        return {name: gathered_on_first(tensor) for name, tensor in self.lightning_module.state_dict().items()}

    def optimizer_state(self, optimizer: optim.Optimizer) -> dict[str, Any]:
        """Whole on the first process, as ``optimizer.state_dict`` has it."""
        content = getattr(optimizer, "_optimizer", optimizer).state_dict()
        state = {
            number: {name: gathered_on_first(v) if isinstance(v, Tensor) else v for name, v in of_one.items()}
            for number, of_one in content["state"].items()
        }
        return content | {"state": state}

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: dict[str, Any], strict: bool = True) -> None:
        live = self.lightning_module.state_dict()
        parts = {name: part_of(t, live[name]) if name in live else t for name, t in checkpoint["state_dict"].items()}
        self.lightning_module.load_state_dict(parts, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: dict[str, Any]) -> None:
        for optimizer, content in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(_parts_of_optimizer(content, optimizer))


def _parts_of_optimizer(content: dict[str, Any], optimizer: optim.Optimizer) -> dict[str, Any]:
    """A whole state with the part of each tensor that has its parameter's shape."""
    numbers = [number for group in content["param_groups"] for number in group["params"]]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    of_number = dict(zip(numbers, parameters, strict=True))
    state = {
        number: {
            name: part_of(value, of_number[number])
            if isinstance(value, Tensor) and value.shape == of_number[number].shape
            else value
            for name, value in of_one.items()
        }
        for number, of_one in content["state"].items()
    }
    return content | {"state": state}
