"""`pantile predict` from file to file, this state against another: whole commands in turns, wall and processor time.

    python benchmarks/predict_before.py CKPT PHOTOS --before TREE [--images 40] [--rounds 3] [--threads 1]

TREE is a checkout of the other state, whose packages are this environment's. The claim is at most 0.6 of its wall time
on two cores. Both write into an empty folder; what a start costs is in both.
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
from pantile.predict import find_images

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--before", type=Path, required=True, metavar="TREE")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    args = parser.parse_args()
    trees = {"before": args.before.resolve(), "now": HERE}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        for image in find_images([args.photos])[: args.images]:
            (photos / image.path.name).symlink_to(image.path.resolve())
        for _ in range(args.rounds):
            for name, tree in trees.items():
                seconds[name].append(predict(tree, args.checkpoint.resolve(), photos, args.threads))
                wall, cpu = seconds[name][-1]
                print(
                    f"{name:6} {wall:6.1f} s, {cpu:6.1f} s of CPU time; load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    wall, cpu = (
        statistics.median(run[k] for run in seconds["now"]) / statistics.median(run[k] for run in seconds["before"])
        for k in (0, 1)
    )
    print(f"now / before: CPU time {cpu:.2f}")
    claims = Claims()
    claims.at_most("wall time, now / before", wall, 0.6)
    claims.finish()


def predict(tree: Path, checkpoint: Path, photos: Path, threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of one command of a state."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": str(threads)}
    code = "import sys; from pantile.cli.main import main; sys.exit(main())"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code, "predict", str(checkpoint), str(photos), "--out", f"{folder}/out"]
        used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        wall, now = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{tree}: {done.stderr[-800:]}")
    return wall, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


if __name__ == "__main__":
    main()
