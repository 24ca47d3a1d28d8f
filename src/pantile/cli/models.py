"""``pantile models list``, ``info NAME``, ``fields`` and ``matrix``"""

import argparse

from pantile.cli import model_list
from pantile.cli.numbers import at_least_one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="action", metavar="list|info|fields|matrix", required=True)
    model_list.add_arguments(verbs.add_parser("list", help="all recipes: size, task, data set and published results"))
    fields = verbs.add_parser("fields", help="every field that --set can change: type, default and meaning")
    fields.add_argument("words", nargs="*", metavar="WORD", help="only fields whose name or meaning has all of these")
    fields.add_argument("--of", metavar="RECIPE", help="those of a recipe, with its values")
    fields.add_argument("--markdown", action="store_true", help="as the page docs/fields.md")
    verbs.add_parser("matrix", help="which training techniques go with which architectures")
    info = verbs.add_parser("info", help="what a recipe is for, and parameters and multiply-adds of its model")
    info.add_argument("name")
    info.add_argument(
        "--size", type=size, help="input HxW, for example 641x641 (default: the recipe's for a photo of 480x640)"
    )
    info.add_argument(
        "--classes", type=at_least_one, help="number of classes, all things (default: of the data set in the name)"
    )
    info.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if args.action == "info":
        return show_info(args)
    if args.action == "matrix":
        return show_matrix()
    if args.action == "list":
        return model_list.run(args)
    return show_fields(args)


def show_fields(args: argparse.Namespace) -> int:
    """Three lines a field at most: name, type and default; its meaning; the kinds that have it."""
    import textwrap

    from pantile.contracts.errors import UserError
    from pantile.engine.field_help import described_fields, fields_page
    from pantile.recipes import make_recipe

    fields = described_fields(make_recipe(args.of) if args.of else None)
    words = [word.lower() for word in args.words]
    fields = [field for field in fields if all(w in f"{field.name} {field.meaning}".lower() for w in words)]
    if not fields:
        raise UserError(f"No field has {' '.join(args.words)} in its name or meaning: leave a word out.")
    if args.markdown:
        print(fields_page(fields), end="")
        return 0
    for field in fields:
        print(f"{field.name} = {field.default or '(needed)'}   {field.kind}")
        if field.meaning:
            print(textwrap.fill(field.meaning, 116, initial_indent="    ", subsequent_indent="    "))
        if field.kinds and not args.of:
            print(textwrap.fill(f"[{', '.join(field.kinds)}]", 116, initial_indent="    ", subsequent_indent="    "))
    return 0


def show_info(args: argparse.Namespace) -> int:
    import json

    from pantile.data import fit_placement
    from pantile.data.classes.vocabularies import vocabulary_of
    from pantile.engine.run_cost import run_cost
    from pantile.models.backbone_weights import start_of_backbone
    from pantile.recipes import make_recipe
    from pantile.recipes.cards import card_of
    from pantile.recipes.sizes import things_of_recipe

    config = make_recipe(args.name)
    height, width = args.size or fit_placement((480, 640), config.evaluation_size).padded
    data_set = None if args.classes else vocabulary_of(args.name)
    is_thing = [True] * args.classes if args.classes else things_of_recipe(args.name)
    classes = len(is_thing)
    cost = run_cost(config, is_thing, (height, width))
    start, card = start_of_backbone(config.model), card_of(args.name)
    if args.json:
        facts = {"name": args.name, "size": [height, width], "classes": classes, "classes_of": data_set}
        facts |= {"backbone_weights": start, "task": card.task, "data": card.data}
        facts |= {"published": [vars(score) for score in card.scores]}
        print(json.dumps(facts | vars(cost)))
        return 0
    of = f" of {data_set}" if data_set else "" if args.classes else " (as many as COCO has; --classes says otherwise)"
    print(f"{args.name}: {classes} classes{of}, input {height}x{width}")
    for what, told in (("task", card.task), ("data set", card.data), ("published", card.published)):
        if told:
            print(f"  {what:<24}  {told}")
    print(f"  parameters at inference   {cost.parameters:>15,}")
    print(f"  training only             {cost.training_only_parameters:>15,}")
    print(f"  multiply-adds             {cost.multiply_adds / 1e9:>15.2f} G")
    print(f"  the backbone starts from  {start}")
    print(f"`pantile models fields --of {args.name}` shows what --set changes.")
    return 0


def show_matrix() -> int:
    """A row per architecture, a column per technique; below it, what has to be set where the defaults do not do."""
    from pantile.engine.pairs import technique_pairs

    pairs = technique_pairs()
    techniques = list(next(iter(pairs.values())))
    width = max(len(name) for name in pairs)
    print(" " * width, *techniques, sep="  ")
    for architecture, row in pairs.items():
        cells = (("yes" if not p.refusal else "set" if p.fits else "-").ljust(len(name)) for name, p in row.items())
        print("  ".join([architecture.ljust(width), *cells]).rstrip())
    for architecture, row in pairs.items():
        for name, pair in row.items():
            if pair.fits and pair.refusal:
                print(f"{name} with {architecture}: {pair.refusal}")
    return 0


def size(text: str) -> tuple[int, int]:
    """``HxW`` of an option."""
    try:
        height, width = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not HxW, for example 641x641") from None
    if min(height, width) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has no pixel: give a height and a width from 1, such as 641x641")
    return height, width
