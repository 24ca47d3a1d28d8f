"""`pantile data check` on many images, anew and again without changes, this state against another: whole commands.

    python benchmarks/check_speed.py DATA [--before TREE] [--workers 1] [--rounds 1]
    python benchmarks/check_speed.py --images 10000 [...]

DATA is a labelled folder; with --images one is generated, as ``convert_speed.py`` does, and converted to COCO-panoptic.
TREE is a checkout of the other state, whose packages are this environment's. Claims, in processor time: anew at most
0.4 of the other state, again at most 0.02 of what this state takes anew.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from claims import Claims
from convert_speed import write
from pantile.labels import ConvertOptions, convert

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--before", type=Path, metavar="TREE")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = args.data.resolve() if args.data else generated(Path(folder), args.images)
        seconds: dict[str, list[float]] = {}
        for number in range(args.rounds):
            cache = Path(folder, f"cache{number}")
            if args.before:
                check("before", args.before.resolve(), data, cache.with_name(f"before{number}"), args.workers, seconds)
            check("anew", HERE, data, cache, args.workers, seconds)
            check("again", HERE, data, cache, args.workers, seconds)
    spent = {name: statistics.median(values) for name, values in seconds.items()}
    claims = Claims()
    if args.before:
        claims.at_most("anew, of before", spent["anew"] / spent["before"], 0.4)
    claims.at_most("again, of anew", spent["again"] / spent["anew"], 0.02)
    claims.finish()


def generated(folder: Path, images: int) -> Path:
    write(folder / "instances", images, (480, 640))
    convert(folder / "instances", folder / "data", ConvertOptions("coco-instances", overlap="last-on-top", link=True))
    return folder / "data"


def check(name: str, tree: Path, data: Path, cache: Path, workers: int, seconds: dict[str, list[float]]) -> None:
    """Adds the processor seconds of one command."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cache)}
    code = "import sys; from pantile.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "data", "check", str(data), "--workers", str(workers)]
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):  # 1: something was found
        sys.exit(f"{tree}: {done.stderr[-800:]}")
    spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    seconds.setdefault(name, []).append(spent)
    peak = now.ru_maxrss / 1024
    print(f"{name:6} {wall:7.1f} s, {spent:7.1f} s of CPU time, peak so far {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
