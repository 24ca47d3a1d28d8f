"""Which parameters decay and how fast they learn; learning rates of every schedule at chosen steps."""

import pytest
import torch

from pantile.engine.config import OptimizerConfig
from pantile.engine.optimizer import learning_rate_factor, make_optimizer, parameter_groups
from pantile.models import create_model, kmax_nano_config


def test_groups_hold_every_parameter_once_with_the_right_settings():
    model = create_model(kmax_nano_config(), num_classes=5)
    extra = torch.nn.Conv2d(3, 4, 1)
    groups = parameter_groups(
        model, extra, OptimizerConfig(learning_rate=1.0, backbone_multiplier=0.1, weight_decay=0.5)
    )
    group_of = {id(p): g for g in groups for p in g["params"]}
    assert len(group_of) == sum(len(g["params"]) for g in groups)
    assert len(group_of) == len(list(model.parameters())) + 2
    for name, parameter in model.named_parameters():
        group = group_of[id(parameter)]
        assert group["lr"] == (0.1 if name.startswith("backbone.") else 1.0)
        kernel = parameter.ndim > 1 and "table" not in name and name != "cluster_centers"
        assert (group["weight_decay"] == 0.5) == kernel, name
    assert group_of[id(extra.weight)]["weight_decay"] == 0.5
    assert group_of[id(extra.bias)]["weight_decay"] == 0.0
    assert group_of[id(model.cluster_centers)]["weight_decay"] == 0.0


def test_poly_is_not_shifted_by_the_warm_up():
    config = OptimizerConfig(schedule="poly", poly_power=0.9, warmup=0.1, warmup_start=0.001)
    assert learning_rate_factor(0, 1000, config) == pytest.approx(0.001)
    assert learning_rate_factor(50, 1000, config) == pytest.approx(0.001 + 0.999 * 0.5)
    assert learning_rate_factor(100, 1000, config) == pytest.approx(0.9**0.9)
    assert learning_rate_factor(500, 1000, config) == pytest.approx(0.5**0.9)
    assert learning_rate_factor(1000, 1000, config) == 0


def test_step_schedule_falls_at_85_and_95_percent():
    config = OptimizerConfig(schedule="step", warmup=0.0)
    values = [learning_rate_factor(step, 100, config) for step in (0, 84, 85, 94, 95, 99)]
    assert values == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_schedules_are_fractions_of_the_run():
    config = OptimizerConfig(schedule="step")
    for step in range(0, 200, 7):
        assert learning_rate_factor(step, 200, config) == pytest.approx(learning_rate_factor(step * 10, 2000, config))


def test_sgd_takes_the_steps_of_its_formula():
    """velocity <- momentum velocity + (gradient + decay weight); weight <- weight - rate velocity"""
    model = create_model(kmax_nano_config(), num_classes=5)
    config = OptimizerConfig(kind="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01, backbone_multiplier=1.0)
    optimizer = make_optimizer(model, torch.nn.ModuleDict(), config)
    weight = next(p for p in model.parameters() if p.ndim == 4)
    expected, velocity = weight.detach().clone(), torch.zeros_like(weight)
    for step in range(3):
        weight.grad = torch.full_like(weight, 0.5 + step)
        velocity = 0.9 * velocity + weight.grad + 0.01 * expected
        expected = expected - 0.1 * velocity
        optimizer.step()
    torch.testing.assert_close(weight.detach(), expected)
