"""Which of timm's families can be `model.backbone`, and how: tried out with one model of each.

    python benchmarks/backbone_families.py [--only FAMILY ...]

Prints the table of docs/backbones.md. Nothing is computed (meta device) and nothing is downloaded.
"""

import argparse
import logging
import warnings

import timm
import torch

from pantile.backbones import create_backbone
from pantile.backbones.interface import Backbone
from pantile.contracts.errors import UserError

SIZE = (257, 130)


def example_of(family: str) -> str | None:
    """The first model of a module of timm, but those for its own tests and ours."""
    names = [
        name for name in timm.list_models(module=family) if not name.startswith("test_") and "nano_patch" not in name
    ]
    return names[0] if names else None


def told(backbone: Backbone) -> str:
    """How images of any size are taken."""
    multiple = getattr(backbone, "multiple", 1)
    kind = type(backbone).__name__
    if kind != "TimmFeatures":
        return {"SimplePyramid": "pyramid of the last map"}.get(kind, "a wrapper of its own")
    return "as it is" if multiple == 1 else f"padded to a multiple of {multiple}"


def row(family: str, name: str) -> str:
    try:
        with torch.device("meta"):
            backbone = create_backbone(name).eval()
            features = backbone(torch.empty(1, 3, *SIZE))
    except UserError as error:
        reason = str(error).removeprefix("model.backbone: ").removeprefix(f"{name} ").partition("; choose")[0]
        return f"| {family} | `{name}` | no: {reason} |"
    for feature, stride in backbone.strides.items():
        if tuple(features[feature].shape[2:]) != tuple(-(-side // stride) for side in SIZE):
            return f"| {family} | `{name}` | WRONG SIZE of {feature} |"
    return f"| {family} | `{name}` | {told(backbone)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=timm.list_modules(), metavar="FAMILY")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.filterwarnings("ignore")
    print(f"timm {timm.__version__}\n\n| family | tried with | maps at strides 4 to 32 for any size |\n|---|---|---|")
    for family in arguments.only:
        if (name := example_of(family)) is not None:
            print(row(family, name), flush=True)


if __name__ == "__main__":
    main()
