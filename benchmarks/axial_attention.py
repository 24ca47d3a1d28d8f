"""Axial attention, both axes, forward and backward, against a plain statement of its equations.

    python benchmarks/axial_attention.py [--tokens 129] [--channels 64] [--rounds 1] [--device cpu] [--threads 1]

One map of tokens x tokens, float32, training mode. The two take turns in one process; memory is the highest total of
living tensors above the inputs and weights: on CPUs as torch's profiler counts it, on GPUs as the allocator does.
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile

from pantile.layers.axial_attention import AxialAttention, AxialAttention2D, relative_index


def plain_axis(attention: AxialAttention, x: torch.Tensor) -> torch.Tensor:
    """One axis as the equations have it: three terms stacked, normalised, summed."""
    heads = attention.num_heads
    lines = x if attention.along_height else x.transpose(2, 3)
    q, k, v = (
        part.unflatten(1, (heads, -1)).permute(0, 4, 1, 3, 2).flatten(0, 1)
        for part in attention.qkv(lines).split(attention.split, dim=1)
    )
    index = relative_index(q.shape[2], x.device)
    rq, rk, rv = (F.embedding(index, t) for t in (attention.query_table, attention.key_table, attention.value_table))
    terms = [
        torch.einsum("bhld,bhmd->bhlm", q, k),
        torch.einsum("bhld,lmd->bhlm", q, rq),
        torch.einsum("bhmd,lmd->bhlm", k, rk),
    ]
    logits = attention.norm_similarity(torch.cat(terms, dim=1)).unflatten(1, (3, heads)).sum(1)
    weights = logits.softmax(-1)
    retrieved = [torch.einsum("bhlm,bhmd->bhdl", weights, v), torch.einsum("bhlm,lmd->bhdl", weights, rv)]
    maps = [r.unflatten(0, (len(x), -1)).permute(0, 2, 3, 4, 1).flatten(1, 2) for r in retrieved]
    content, position = attention.norm_retrieved(torch.cat(maps, dim=1)).chunk(2, dim=1)
    result = content + position
    return result if attention.along_height else result.transpose(2, 3)


def plain(attention: AxialAttention2D, x: torch.Tensor) -> torch.Tensor:
    return plain_axis(attention.width_axis, plain_axis(attention.height_axis, x))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("tokens", 129), ("channels", 64), ("heads", 8), ("rounds", 1), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    attention = AxialAttention2D(2 * arguments.channels, arguments.channels, arguments.heads).to(arguments.device)
    x = torch.randn(1, 2 * arguments.channels, arguments.tokens, arguments.tokens, device=arguments.device)
    x.requires_grad_()
    calls = {"ours": lambda: attention(x), "plain": lambda: plain(attention, x)}
    memory = {name: peak_bytes(lambda call=call: step(call, attention, x), x.device) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(arguments.rounds):
        for name, call in calls.items():
            wait(x.device)
            start = now(x.device)
            step(call, attention, x)
            wait(x.device)
            seconds[name].append(now(x.device) - start)
    median = {name: statistics.median(times) for name, times in seconds.items()}
    print(
        f"{arguments.tokens}x{arguments.tokens} tokens, {arguments.heads} heads, keys of {arguments.channels} channels"
    )
    for name in calls:
        print(f"{name:6s} {1e3 * median[name]:9.1f} ms   {memory[name] / 2**20:9.1f} MiB")
    print(f"ratio  {median['ours'] / median['plain']:9.2f}      {memory['ours'] / memory['plain']:9.2f}")


def step(call, attention: torch.nn.Module, x: torch.Tensor) -> None:
    torch.autograd.grad(call().square().sum(), [x, *attention.parameters()])


def now(device: torch.device) -> float:
    """Seconds: the process's own on a CPU, where other processes may be at work; the clock's on a GPU."""
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_bytes(call, device: torch.device) -> int:
    """The most that was alive at once, above what was before."""
    if device.type == "cuda":
        call()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    total = peak = 0
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        total += event.nbytes()
        peak = max(peak, total)
    return peak


if __name__ == "__main__":
    main()
