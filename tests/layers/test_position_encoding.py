"""Sine positions against the formula pixel by pixel, and the cache they share."""

import math

import pytest
import torch

from pantile.layers.position_encoding import cached_by_arguments, sine_positions

CPU = torch.device("cpu")


def test_against_the_formula():
    sizes, channels = ((2, 3), (4, 5)), 8
    positions = sine_positions(sizes, channels, CPU)
    assert positions.shape == (26, channels)
    index = 0
    for height, width in sizes:
        for y in range(height):
            for x in range(width):
                expected = []
                for coordinate in (2 * math.pi * (y + 1) / (height + 1e-6), 2 * math.pi * (x + 1) / (width + 1e-6)):
                    for pair in range(2):
                        angle = coordinate / 10000 ** (2 * pair / 4)
                        expected += [math.sin(angle), math.cos(angle)]
                assert positions[index].tolist() == pytest.approx(expected, abs=1e-5)
                index += 1


def test_made_once_for_the_same_arguments():
    calls = []

    @cached_by_arguments
    def numbers(length, device):
        calls.append(length)
        return torch.arange(float(length), device=device)

    assert numbers(3, CPU) is numbers(3, CPU)
    numbers(4, CPU)
    assert calls == [3, 4]


def test_made_in_inference_mode_and_used_in_training():
    with torch.inference_mode():
        sine_positions(((3, 7),), 4, CPU)
    weight = torch.ones(4, requires_grad=True)
    (sine_positions(((3, 7),), 4, CPU) * weight).sum().backward()
    assert weight.grad is not None
