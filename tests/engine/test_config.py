"""Overrides, files and messages of RunConfig; every recipe survives the round trip."""

import pytest

from pantile.contracts.errors import UserError
from pantile.engine.config import field_names, from_dict, load_yaml, override, save_yaml, to_dict
from pantile.recipes import list_recipes, make_recipe
from pantile.techniques import TECHNIQUES


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_survives_the_round_trip(name, tmp_path):
    config = make_recipe(name)
    assert from_dict(to_dict(config)) == config
    save_yaml(config, tmp_path / "config.yaml")
    assert load_yaml(tmp_path / "config.yaml") == config


def test_overrides_reach_every_depth_and_are_typed():
    config = override(
        make_recipe("remax_nano"),
        [
            "training.steps=7",
            "optimizer.learning_rate=1e-3",
            "techniques.remask.activation=softmax",
            "techniques.reclass=null",
            "augment.crop=[65, 97]",
            "optimizer.gradient_clip=0.01",
        ],
    )
    assert config.training.steps == 7
    assert config.optimizer.learning_rate == 0.001
    assert config.techniques.remask.activation == "softmax"
    assert config.techniques.reclass is None
    assert config.augment.crop == (65, 97)
    assert config.optimizer.gradient_clip == 0.01


def test_every_field_that_is_listed_is_one():
    """Nothing of what pydantic hangs on the annotations."""
    assert not [name for name in field_names() if name.rpartition(".")[2] in ("func", "ge", "metadata")]
    assert {name.split(".")[1] for name in field_names() if name.startswith("techniques.")} == set(TECHNIQUES)


def test_setting_a_field_switches_its_technique_on():
    assert override(make_recipe("kmax_nano"), ["techniques.reclass.eta=0.2"]).techniques.reclass.eta == 0.2


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("training.stps=3", "no field 'training.stps'; did you mean 'training.steps'"),
        ("model.num_querys=3", "did you mean 'model.num_queries'"),
        ("techniques.remsk.stages=3", "did you mean 'techniques.remask.stages'"),
        ("techniques.remask.etaa=3", "did you mean 'techniques.reclass.eta'"),
        ("training.steps=many", "training.steps: Input should be a valid integer"),
        ("training.steps=1.5", "training.steps: Input should be a valid integer"),
        ("training.precision=fp8", "training.precision: Input should be 'auto', 'fp32' or 'bf16'"),
        ("training.steps", "write field=value"),
        ("training.steps=0", "training.steps: Input should be greater than or equal to 1 (got 0)"),
        ("training.steps=-1", "training.steps: Input should be greater than or equal to 1 (got -1)"),
        ("training.effective_batch=0", "training.effective_batch: Input should be greater than or equal to 1"),
        ("training.device_batch=0", "training.device_batch: Input should be greater than or equal to 1"),
        ("training.log_every=0", "training.log_every: Input should be greater than or equal to 1"),
        ("training.workers=-1", "training.workers: Input should be greater than or equal to 0"),
        ("training.validation_images=-1", "training.validation_images: Input should be greater than or equal to 0"),
        ("training.validate_every=.nan", "training.validate_every: Input should be"),
        ("optimizer.learning_rate=.nan", "optimizer.learning_rate: Input should be"),
        ("techniques.remask=5", "5: techniques.remask: Input should be a dictionary"),
        ("techniques.func=1", "there is no field 'techniques.func'; did you mean 'techniques"),
        ("model.architecture=panoptic_fcn", "other kinds have it: start from a recipe of this kind"),
    ],
)
def test_mistakes_name_the_field_and_the_remedy(assignment, message):
    with pytest.raises(UserError) as error:
        override(make_recipe("remax_nano"), [assignment])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_field_in_a_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("recipe: x\nmodle: {}\n")
    with pytest.raises(UserError, match=r"config.yaml: there is no field 'modle'; did you mean 'model'"):
        load_yaml(path)


@pytest.mark.parametrize("text", ["- a\n- b\n", "recipe: [", ""])
def test_files_that_are_no_config(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml"):
        load_yaml(path)


def test_unknown_recipe_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean 'remax_b_coco'"):
        make_recipe("remax_b_cocoo")


def test_field_names_are_complete():
    names = field_names()
    assert {name.split(".")[1] for name in names if name.startswith("techniques.")} == set(TECHNIQUES)
    assert {"seed", "model.backbone", "techniques.remask.stages", "training.steps", "merge.overlap"} <= set(names)


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("augment.crop=256", '2 numbers, so write "augment.crop=[256,256]"'),
        ("augment.crop=256x512", '"augment.crop=[256,512]"'),
        ("augment.crop=(256, 512)", '"augment.crop=[256,512]"'),
        ("augment.crop=[256]", '"augment.crop=[256,256]"'),
        ("evaluation_size=513", '"evaluation_size=[513,513]"'),
        ("optimizer.betas=0.9", '"optimizer.betas=[0.9,0.9]"'),
        ("augment.short_side=512", 'a list of numbers, so write "augment.short_side=[512]"'),
        ("model.transformer_layers=[1,2]", "takes a list of 3 numbers, not [1, 2]"),
        ("evaluation_size=large", "takes a list of 2 numbers, not 'large'"),
        ("augment.crop=[a,b]", "augment.crop.0: Input should be a valid integer"),
    ],
)
def test_a_number_where_a_list_belongs_is_answered_with_the_list(setting, wanted):
    with pytest.raises(UserError) as told:
        override(make_recipe("remax_nano"), [setting])
    assert wanted in str(told.value)
    if '"' in wanted:
        override(make_recipe("remax_nano"), [wanted.split('"')[1]])
