"""propose(): the run that fits some data and a machine, with the reason of each choice.

The rules are of this project's own runs (docs/results.md, docs/log.md), not of a paper; each is one function below.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pantile.contracts.errors import UserError
from pantile.data.facts import DataFacts
from pantile.engine.config import RunConfig, override
from pantile.engine.step_memory import step_memory
from pantile.models import ModelConfig
from pantile.models.backbone_weights import can_have_weights
from pantile.recipes.registry import ALL_RECIPES, make_recipe

#: with a GPU; without one, from ImageNet's weights; and where these cannot be had
LARGE, SMALL, SCRATCH = "mask2former_swin_t_coco", "panoptic_deeplab_lite0", "remax_nano"
#: what the large recipe starts from: the same network, trained on COCO
LARGE_START = "facebook/mask2former-swin-tiny-coco-panoptic"
CROPS = (192, 256, 384, 512, 640, 768, 1024)
WANTED_PIXELS = 16  # side of a small thing in the network's input; masks have a quarter of that
MEMORY_SHARE = 0.8  # of the machine's, that a step may take
FEW_STEPS = 1500  # of which a network needs more to find its first segments, from random numbers
FEW_STEPS_TRAINED = 500  # and where its backbone has learned before
TRAINING_SHARE = 0.9  # of the time; the rest is for validations
RARE = 0.05  # share of the images below which a class counts as rare


@dataclass(frozen=True)
class Machine:
    """Attributes:
    device: "cpu", "cuda" or "mps".
    memory: bytes that a training may use.
    cores: of the processor.
    """

    device: str
    memory: int
    cores: int

    @property
    def is_large(self) -> bool:
        """Whether a network of tens of millions of weights trains here in hours."""
        return self.device == "cuda"


@dataclass
class Proposal:
    """
    Attributes:
        recipe: its name.
        init: weights to start from, or None.
        settings: field -> value, of what differs from the recipe.
        reasons: for people, a sentence for each choice.
        steps, seconds: of the whole run; 0 before anything was timed.
    """

    recipe: str
    init: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0

    def choose(self, reason: str, *settings: str) -> None:
        self.reasons.append(reason)
        self.take(settings)

    def take(self, settings: Sequence[str]) -> None:
        """``field=value`` texts in the place of earlier ones."""
        for setting in settings:
            name, _, value = setting.partition("=")
            self.settings[name] = value

    @property
    def assignments(self) -> list[str]:
        """``field=value`` texts, as ``--set`` takes them."""
        return [f"{name}={value}" for name, value in self.settings.items()]

    @property
    def few_steps(self) -> int:
        """From so many steps on they are worth their size; fewer should become cheaper."""
        model = self.config.model
        trained = self.init or model.pretrained or getattr(model, "backbone_weights", None)
        return FEW_STEPS_TRAINED if trained else FEW_STEPS

    @property
    def config(self) -> RunConfig:
        return override(make_recipe(self.recipe), self.assignments)


def propose(
    data: DataFacts,
    machine: Machine,
    hours: float,
    timed: Callable[[RunConfig], float],
    settings: Sequence[str] = (),
    init: str | None = None,
    init_recipe: str | None = None,
    fetchable: Callable[[ModelConfig], bool] = can_have_weights,
) -> Proposal:
    """
    Args:
        data: what there is to learn from.
        hours: how long the run may take.
        timed: seconds of a step of a run.
        settings: what the user has decided already; wins over every rule.
        init: weights to start from that the user has.
        init_recipe: that made them.
        fetchable: whether the public weights of a model's backbone can be had here.

    Raises:
        UserError: one sample does not fit into the memory even at the smallest crop, or the time is too short.
    """
    known = init_recipe in ALL_RECIPES
    proposal = _of_init(init, init_recipe) if known else _network(machine, settings, init, fetchable)
    _queries(proposal, data)
    side = _crop(proposal, data, machine)
    _batch(proposal, data, machine, side)
    _tail(proposal, data)
    override(proposal.config, settings)  # a mistake in them is told as what it is
    proposal.take(settings)
    _length(proposal, data, hours, timed)
    proposal.take(settings)
    return proposal


def _of_init(init: str | None, recipe: str) -> Proposal:
    return Proposal(recipe, init, reasons=[f"{recipe}: it made the weights of {init}, which it starts from."])


def _network(
    machine: Machine, settings: Sequence[str], init: str | None, fetchable: Callable[[ModelConfig], bool]
) -> Proposal:
    if machine.is_large:
        start = init or LARGE_START
        fetched = "" if init else ", which is fetched once"
        return Proposal(
            LARGE, start, reasons=[f"{LARGE}: this GPU trains it in hours, and it starts from {start}{fetched}."]
        )
    why = f"without a {'GPU' if machine.device == 'cpu' else 'CUDA GPU'} only small networks see enough images"
    named = dict(setting.partition("=")[::2] for setting in settings)
    own = named.get("model.backbone_weights")
    if init or own:
        return Proposal(SMALL, init, reasons=[f"{SMALL}: {why}, and it starts from {init or own}."])
    model = make_recipe(SMALL).model
    if fetchable(replace(model, backbone=named.get("model.backbone", model.backbone))):
        return Proposal(SMALL, reasons=[f"{SMALL}: {why}, and its backbone starts from ImageNet, fetched once."])
    return Proposal(
        SCRATCH,
        reasons=[
            f"{SCRATCH}: {why}, and it learns from random numbers, too. ImageNet's weights cannot be fetched here: "
            f"with a file of them {SMALL} gets further in the same time (--set model.backbone_weights=FILE)."
        ],
    )


def _queries(proposal: Proposal, data: DataFacts) -> None:
    if not hasattr(proposal.config.model, "num_queries"):
        return
    most = max(data.targets, default=0)
    queries = max(32, math.ceil(1.1 * most / 10) * 10)
    limited = min(queries, 300)
    told = "" if queries == limited else ", of which the surplus of an image becomes void"
    proposal.choose(f"{limited} queries: an image has up to {most} segments{told}.", f"model.num_queries={limited}")


def _crop(proposal: Proposal, data: DataFacts, machine: Machine) -> int:
    """The smallest crop in which small things are large enough, if memory and device allow."""
    larger = _photo_of(proposal, 1.0)
    most = min(1024 if machine.is_large else 512 / larger**0.5, 1.5 * data.long_side)
    limit = max([side for side in CROPS if side <= most], default=CROPS[0])
    small = data.small_side
    enough = [side for side in CROPS if side <= limit and (small is None or side * larger * small >= WANTED_PIXELS)]
    wanted = enough[0] if enough else limit
    is_thing = [c.is_thing for c in data.taxonomy.classes]
    side = wanted
    while True:
        fields = _sizes(proposal, side)
        config = override(proposal.config, fields)
        need = step_memory(config, is_thing).of(1)
        if need <= MEMORY_SHARE * machine.memory:
            break
        smaller = [other for other in CROPS if other < side]
        if not smaller:
            raise UserError(
                f"One sample of {_text(side)} pixels of {proposal.recipe} needs about {_gib(need)}, and there are "
                f"{_gib(machine.memory)}: close other programs, or take a machine with more memory."
            )
        side = smaller[-1]
    of_small = (
        ""
        if small is None
        else f", where a tenth of the things are smaller than {side * larger * small:.0f} pixels a side"
    )
    why = f"; larger ones do not fit into {_gib(machine.memory)}" if side < wanted else ""
    why += f"; larger ones take too long on {machine.device}" if not enough and side == limit < 1024 else ""
    photo = "" if larger == 1 else f" from photos of about {_text(round(side * larger))}"
    proposal.choose(f"crops of {_text(side)}{photo}{of_small}{why}.", *fields)
    return side


def _photo_of(proposal: Proposal, side: float) -> float:
    """Side of the whole photo, where a crop has this one: as much larger as in the recipe."""
    recipe = make_recipe(proposal.recipe)
    whole = recipe.evaluation_size
    return side * round(whole[0] / recipe.augment.crop[0], 2) if isinstance(whole, tuple) else side


def _sizes(proposal: Proposal, side: int) -> list[str]:
    """The fields of a crop of this side; odd where the recipe's are, whose maps have their corners on pixels."""
    odd = make_recipe(proposal.recipe).augment.crop[0] % 2
    crop, photo = side + odd, round(_photo_of(proposal, side)) + odd
    return [f"augment.crop=[{crop},{crop}]", f"evaluation_size=[{photo},{photo}]"]


def _batch(proposal: Proposal, data: DataFacts, machine: Machine, side: int) -> None:
    wanted = 8 if machine.is_large else 4
    memory = step_memory(proposal.config, [c.is_thing for c in data.taxonomy.classes])
    fits = next(
        (n for n in (wanted, wanted // 2, wanted // 4, 1) if n and memory.of(n) <= MEMORY_SHARE * machine.memory), 1
    )
    workers = max(0, min(8, machine.cores - 1))
    proposal.choose(
        f"{wanted} images a step, {fits} at once: a step of these needs about {_gib(memory.of(fits))} of "
        f"{_gib(machine.memory)}.",
        f"training.effective_batch={wanted}",
        f"training.device_batch={fits}",
        f"training.workers={workers}",
    )


def _tail(proposal: Proposal, data: DataFacts) -> None:
    if proposal.config.augment.repeat_threshold < RARE and (rare := data.rare(RARE)):
        named = ", ".join(rare[:3]) + (" ..." if rare[3:] else "")
        proposal.choose(
            f"{len(rare)} classes are in less than {100 * RARE:.0f} % of the images ({named}), which come more often.",
            f"augment.repeat_threshold={RARE}",
        )


def _length(proposal: Proposal, data: DataFacts, hours: float, timed: Callable[[RunConfig], float]) -> None:
    """As many steps as fit, but no more than 300 times the training set. Where too few fit, a step becomes cheaper."""
    config, seconds = proposal.config, timed(proposal.config)
    affordable = _steps_within(hours, seconds)
    few = proposal.few_steps
    if affordable < few and (cheaper := _cheaper(config, few / max(1, affordable))):
        proposal.reasons.append(
            f"{affordable} steps of these would fit into {hours:g} hours, too few to learn from: smaller ones instead."
        )
        side, batch = cheaper
        proposal.choose(
            f"crops of {_text(side)}, {batch} images a step.",
            *_sizes(proposal, side),
            f"training.effective_batch={batch}",
            f"training.device_batch={min(batch, config.training.device_batch or batch)}",
        )
        config, seconds = proposal.config, timed(proposal.config)
        affordable = _steps_within(hours, seconds)
    if affordable < 100:
        raise UserError(
            f"{hours:g} hours are {affordable} steps of {seconds:.1f} s here, in which no network learns: give more "
            "--hours."
        )
    useful = max(1000, 300 * data.images // config.training.effective_batch)
    steps = min(affordable, useful)
    epochs = steps * config.training.effective_batch / data.images
    what = f"as many as fit into {hours:g} hours" if affordable <= useful else f"which need less than {hours:g} hours"
    proposal.steps, proposal.seconds = steps, seconds * steps / TRAINING_SHARE
    proposal.choose(
        f"{steps} steps of {seconds:.2f} s, {what}: each image is seen {epochs:.0f} times.",
        f"training.steps={steps}",
        "training.validate_every=0.1",
    )


def _steps_within(hours: float, seconds: float) -> int:
    return int(TRAINING_SHARE * 3600 * hours / seconds)


def _cheaper(config: RunConfig, ratio: float) -> tuple[int, int] | None:
    """(side of the crop, images a step) of the dearest step that is ``ratio`` times cheaper, as far as cost goes with
    pixels; the cheapest where none is. Fewer images come before smaller ones, from which small segments vanish."""
    side, batch = config.augment.crop[0] // 2 * 2, config.training.effective_batch
    sides = [other for other in CROPS[::-1] if other <= side]
    candidates = [(s, b) for s in sides for b in (batch, 2) if b <= batch and (s, b) != (side, batch)]
    wanted = side**2 * batch / ratio
    return next((c for c in candidates if c[0] ** 2 * c[1] <= wanted), candidates[-1] if candidates else None)


def _text(side: int) -> str:
    return f"{side}x{side}"


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
