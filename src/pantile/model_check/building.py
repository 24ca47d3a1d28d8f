"""Building a model: reproducibly, without weights, for any number of classes; and what it says of itself."""

import inspect
from collections.abc import Iterator

import torch

from pantile.model_check.finding import expecting
from pantile.model_check.subject import THINGS, Subject
from pantile.models import PanopticModel
from pantile.models.cost import count_cost


def it_builds(subject: Subject) -> Iterator[str]:
    with expecting(f"{subject.name} cannot be built for five classes", "mend __init__(config, num_classes)"):
        first, second = subject.model(), subject.model()
    for name, value in (("config", subject.config), ("num_classes", len(THINGS))):
        if not hasattr(first, name):
            yield f"{_class(first)} has no attribute {name!r}: set self.{name} = {name} in __init__."
        elif name == "num_classes" and first.num_classes != value:
            yield f"{_class(first)}.num_classes is {first.num_classes}, not the {value} it was built for."
    state = second.state_dict()
    for name, tensor in first.state_dict().items():
        if not torch.equal(tensor, state[name]):
            yield f"{name} differs between two models of one seed: draw its numbers from torch's own generator."
            return


def it_has_a_backbone(subject: Subject) -> Iterator[str]:
    backbone = getattr(subject.trained_looking, "backbone", None)
    if not isinstance(backbone, torch.nn.Module):
        yield (
            f"{_class(subject.trained_looking)} has no submodule `backbone`, whose learning rate is its own "
            "(optimizer.backbone_multiplier): call it so, whatever it is."
        )


def forward_takes_layer_outputs(subject: Subject) -> Iterator[str]:
    parameters = inspect.signature(type(subject.trained_looking).forward).parameters
    if "layer_outputs" not in parameters or parameters["layer_outputs"].default is not None:
        yield (
            f"{_class(subject.trained_looking)}.forward has no `layer_outputs: bool | None = None`, with which report "
            "asks for the outputs of earlier layers: add it; a model without layers need not read it."
        )


def it_builds_for_one_class(subject: Subject) -> None:
    with expecting("one class is too few", "a data set may have a single class, and no stuff or no things"):
        model = subject.model(things=(True,)).eval()
        with torch.no_grad():
            model(subject.images())


def it_builds_for_other_bands(subject: Subject) -> None:
    for channels in (1, 4):
        with expecting(
            f"an image of {channels} band(s) cannot be taken",
            "pass config.in_channels on to create_backbone, and take nothing else of the image to have three",
        ):
            grey = {"image_mean": (127.5,) * channels, "image_std": (127.5,) * channels}
            model = subject.model(in_channels=channels, **grey).eval()
            with torch.no_grad():
                model(subject.images(channels=channels))


def it_builds_without_weights(subject: Subject) -> Iterator[str]:
    """What ``models info`` and ``models matrix`` do."""
    remedy = "make every tensor with torch's functions, and read no number of one (.item(), .tolist()) in __init__"
    with expecting("it cannot be built on the meta device", remedy), torch.device("meta"):
        model = subject.model()
    elsewhere = [name for name, tensor in model.state_dict().items() if not tensor.is_meta]
    if elsewhere:
        yield f"{elsewhere[0]} is not on the device of the model while it is built on the meta device: {remedy}."
        return
    with expecting("its multiply-adds cannot be counted, which models info and report do", remedy + " or forward"):
        count_cost(model, (65, 65))


def _class(model: PanopticModel) -> str:
    return type(model).__name__


BUILDING_CHECKS = (
    it_builds,
    it_has_a_backbone,
    forward_takes_layer_outputs,
)
FURTHER_BUILDING_CHECKS = (it_builds_for_one_class, it_builds_for_other_bands, it_builds_without_weights)
