"""Frames of clips as neighbours of a batch, and as one longer image. With T = 1 nothing is done."""

from torch import Tensor


def joined_frames(pixels: Tensor, frames: int) -> Tensor:
    """(B, S, C) pixels of each frame to (B / T, T S, C) of each clip, frame by frame."""
    return pixels if frames == 1 else pixels.unflatten(0, (-1, frames)).flatten(1, 2)


def frames_side_by_side(maps: Tensor, frames: int) -> Tensor:
    """(B, N, S) values at the pixels of each frame to (B / T, N, T S), in the order of ``joined_frames``."""
    return maps if frames == 1 else maps.unflatten(0, (-1, frames)).transpose(1, 2).flatten(2)


def of_every_frame(values: Tensor, frames: int) -> Tensor:
    """(B / T, ...) what a clip has once to (B, ...), for each of its frames."""
    return values if frames == 1 else values.repeat_interleave(frames, dim=0)
