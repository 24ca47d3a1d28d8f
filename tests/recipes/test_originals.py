"""Every recipe against the stored table of the originals' settings; what differs is named there, with its reason."""

import pytest

from original_settings import read_table, settings_of
from pantile.engine.config import OptimizerConfig, field_names
from pantile.engine.optimizer import learning_rate_factor
from pantile.recipes import list_recipes, make_recipe

TABLE = read_table()
#: what a row must say, whatever its family
NEEDED = {
    "optimizer.kind",
    "optimizer.learning_rate",
    "optimizer.backbone_multiplier",
    "optimizer.weight_decay",
    "optimizer.schedule",
    "optimizer.gradient_clip",
    "warmup_steps",
    "training.steps",
    "training.effective_batch",
    "training.precision",
    "augment.flip",
    "augment.ssd_jitter",
    "augment.policy_magnitude",
    "augment.copy_paste",
    "augment.pad_position",
    "augment.filter_empty",
    "model.backbone",
    "model.pretrained",
    "model.backbone_drop_path",
}


def same(ours: object, original: object) -> bool:
    if isinstance(original, list) or isinstance(ours, list):
        both = isinstance(original, list) and isinstance(ours, list) and len(ours) == len(original)
        return both and all(same(a, b) for a, b in zip(ours, original, strict=True))
    if isinstance(original, float) and isinstance(ours, float | int):
        return ours == pytest.approx(original, rel=1e-9)
    return ours == original and isinstance(ours, bool) == isinstance(original, bool)


def test_every_recipe_has_a_row() -> None:
    missing = set(list_recipes()) - TABLE.rows.keys() - set(TABLE.ours)
    assert not missing, (
        f"{', '.join(sorted(missing))}: add each to `rows` of its family's file in tests/recipes/originals, with the "
        "blocks of values that its original has and their source; or to `ours` where there is no original."
    )
    gone = (TABLE.rows.keys() | set(TABLE.ours)) - set(list_recipes())
    assert not gone, f"{', '.join(sorted(gone))}: no such recipe; delete the row in tests/recipes/originals."


@pytest.mark.parametrize("recipe", TABLE.rows)
def test_settings_are_the_originals(recipe: str) -> None:
    ours, row = settings_of(make_recipe(recipe)), TABLE.rows[recipe]
    needed = NEEDED | ({"optimizer.decay_biases"} if ours["optimizer.weight_decay"] else set())
    assert not needed - row.keys(), f"the row of {recipe} says nothing of {', '.join(sorted(needed - row.keys()))}"
    found = []
    for field, (original, source) in row.items():
        deviations = [d for d in TABLE.deviations if d.field == field and d.holds_for(recipe)]
        assert len(deviations) <= 1, f"{field} of {recipe} deviates for several reasons: {deviations}"
        if deviations:
            original, source = deviations[0].ours, "the deviation that the table names"
        if not same(ours.get(field), original):
            found.append(f"{field} is {ours.get(field)!r}; {original!r} by {source}")
    assert not found, (
        f"{recipe}: " + "; ".join(found) + ". Mend the recipe, or add a row to `deviations` with a reason."
    )


def test_deviations_deviate_and_say_why() -> None:
    """A row that no longer differs, that touches no recipe or that gives no reason has no place in the table."""
    for deviation in TABLE.deviations:
        recipes = [name for name in TABLE.rows if deviation.holds_for(name) and deviation.field in TABLE.rows[name]]
        originals = [TABLE.rows[name][deviation.field][0] for name in recipes]
        assert recipes and not all(same(deviation.ours, original) for original in originals), deviation
        assert len(deviation.reason.split()) >= 4 or deviation.reason.startswith("see "), deviation


def test_silent_sources_have_a_reading() -> None:
    for recipe, row in TABLE.rows.items():
        for field, (value, _) in row.items():
            told = any(d.field == field and d.holds_for(recipe) for d in TABLE.deviations)
            assert value != "silent" or told, f"{recipe}: {field} is silent; name our reading among the deviations"


def test_fields_of_the_table_exist() -> None:
    derived = {
        "warmup_steps",
        "backbone_warmup_steps",
        "mask_annealing_steps",
        "milestone_steps",
        "milestone_shares",
        "short_side_span",
    }
    assert {field for row in TABLE.rows.values() for field in row} <= {*field_names(), *derived}


@pytest.mark.parametrize(
    ("recipe", "factors"),
    [
        # kMaX-DeepLab: base * (1 - step / total) ** 0.9, not shifted by 5000 steps of warm-up from a thousandth
        ("kmax_r50_coco", {0: 0.001, 2_500: 0.001 + 0.999 / 2, 5_000: (29 / 30) ** 0.9, 75_000: 0.5**0.9}),
        ("kmax_r50_cityscapes", {5_000: (11 / 12) ** 0.9, 59_999: (1 / 60_000) ** 0.9}),
        # ReMaX: warm-up from 0, a tenth at 85 % and at 95 %
        ("remax_b_coco", {0: 0, 2_500: 0.5, 5_000: 1, 169_999: 1, 170_000: 0.1, 189_999: 0.1, 190_000: 0.01}),
        ("mask2former_r50_coco", {0: 1, 327_777: 1, 327_778: 0.1, 355_091: 0.1, 355_092: 0.01}),
        ("mask2former_swin_l_coco", {655_555: 1, 655_556: 0.1, 710_184: 0.01, 737_499: 0.01}),
        ("mask2former_r50_cityscapes", {0: 1, 45_000: 0.5**0.9}),
        ("maskformer_r50_coco", {369_599: 1, 369_600: 0.1}),
        ("maskformer_swin_t_ade20k_semantic", {0: 1e-6, 750: 1e-6 + (1 - 1e-6) / 2, 80_000: 0.5**0.9}),
        ("panoptic_fcn_r50_1x_coco", {0: 0.001, 500: 0.001 + 0.999 / 2, 1_000: (89 / 90) ** 0.9, 45_000: 0.5**0.9}),
        # Segmenter: (lr - 1e-5) * (1 - step / total) ** 0.9 + 1e-5
        ("segmenter_b_ade20k", {0: 1, 80_000: 0.01 + 0.99 * 0.5**0.9, 160_000: 0.01}),
        # EoMT: the heads; the ViT stands still for 500 steps and warms up in 1000
        ("eomt_l_coco", {0: 0, 250: 0.5, 500: 1, 44_596: 0.5**0.9}),
        ("panoptic_deeplab_wr41_coco", {0: 1, 250_000: 0.5**0.9}),
    ],
)
def test_learning_rates_at_some_steps(recipe: str, factors: dict[int, float]) -> None:
    """By hand, of the learning rate in the table."""
    config = make_recipe(recipe)
    ours = {step: learning_rate_factor(step, config.training.steps, config.optimizer) for step in factors}
    assert ours == pytest.approx(factors, rel=1e-6, abs=1e-12)


def test_a_changed_value_is_found() -> None:
    """The comparison can fail: of numbers, lists, flags and what is off."""
    assert not same(0.02, 0.01) and not same([1, 2], [1, 3]) and not same([1], [1, 2]) and not same(1, True)
    assert not same(None, 0.01) and not same("poly", "step") and same(5, 5.0) and same((1, 2), (1, 2))
    assert OptimizerConfig().gradient_clip is None
