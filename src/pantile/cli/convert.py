"""``pantile convert kmax FILE``: original checkpoints into ours, and back."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="kind", metavar="kmax|to-kmax", required=True)
    kmax = kinds.add_parser("kmax", help="a checkpoint of the PyTorch kMaX-DeepLab (.pth or .pkl) into ours")
    kmax.add_argument("file", type=Path)
    kmax.add_argument("--categories", type=Path, required=True, help="COCO-panoptic JSON of its data set")
    kmax.add_argument("--recipe", help="recipe for merging and sizes (default: from backbone and class count)")
    kmax.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    back = kinds.add_parser("to-kmax", help="our checkpoint in the layout of the PyTorch kMaX-DeepLab")
    back.add_argument("file", type=Path)
    back.add_argument("--out", type=Path, required=True, help="the .pth file to write")


def run(args: argparse.Namespace) -> int:
    if args.kind == "kmax":
        convert_kmax(args.file, args.categories, args.out, args.recipe)
    else:
        convert_to_kmax(args.file, args.out)
    print(args.out)
    return 0


def convert_kmax(file: Path, categories: Path, out: Path, recipe: str | None = None) -> None:
    """Reads an original checkpoint and writes our weights file with config and taxonomy."""
    from pantile.contracts.errors import UserError
    from pantile.convert import import_kmax
    from pantile.engine.checkpoint import save_weights
    from pantile.models import KMaXConfig
    from pantile.recipes import make_recipe

    if out.suffix != ".safetensors":
        raise UserError(f"--out {out}: weights are written as safetensors; end the name in .safetensors.")
    taxonomy = read_categories(categories)
    base = make_recipe(recipe).model if recipe else KMaXConfig()
    model_config, state = import_kmax(file, base, taxonomy)
    config = make_recipe(recipe or matching_recipe(model_config.backbone, len(taxonomy)))
    config.model = model_config
    save_weights(out, {f"model.{name}": tensor for name, tensor in state.items()}, config, taxonomy, step=None)


def convert_to_kmax(file: Path, out: Path) -> None:
    from pantile.contracts.errors import UserError
    from pantile.convert import export_kmax
    from pantile.engine.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(file)
    if not checkpoint.config.model.backbone.startswith(("resnet", "convnext")):
        raise UserError(
            f"{file}: the original kMaX-DeepLab has no {checkpoint.config.model.backbone} backbone to export to."
        )
    export_kmax(out, checkpoint.config.model, checkpoint.part("model"))


def read_categories(path: Path) -> object:
    """The taxonomy of a COCO-panoptic JSON, or of a bare list of categories."""
    import json

    from pantile.contracts.errors import UserError
    from pantile.contracts.taxonomy import Taxonomy

    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); give a COCO-panoptic annotation file.") from None
    categories = content.get("categories") if isinstance(content, dict) else content
    if not isinstance(categories, list):
        raise UserError(f"{path}: has no list of categories; give a COCO-panoptic annotation file.")
    return Taxonomy.from_coco(categories, source=str(path))


def matching_recipe(backbone: str, classes: int) -> str:
    """The kMaX recipe of this backbone and of the data set with so many classes; COCO's for others."""
    name = "r50" if backbone.startswith("resnet") else backbone
    dataset = {19: "cityscapes", 150: "ade20k_1281"}.get(classes, "coco")
    candidates = [f"kmax_{name}_{dataset}", f"kmax_r50_{dataset}"]
    from pantile.recipes import list_recipes

    return next(candidate for candidate in candidates if candidate in list_recipes())
