"""`pantile score` against hotcoco: processor time of a pair beyond start-up, whole processes, in turns.

    python benchmarks/score_hotcoco.py PEER DATA/facades [--pairs 400] [--side 640] [--rounds 5] [--workers 2]

PEER is a Python with hotcoco==1.3.0. The pairs are maps of `val`, resized to 3/4 SIDE x SIDE, and the same shifted by
up to four pixels, a fifth of the segments with another class. Start-up is what four of these pairs take. Claims, ours
over theirs: ``--only pq`` at most 1.0, everything that ``score`` prints at most 2.5; and both say the same PQ.
"""

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from claims import Claims
from pantile.contracts.panoptic import PanopticMap, Segment, ids_to_rgb
from pantile.contracts.taxonomy import Taxonomy
from pantile.data import CocoPanoptic
from pantile.data.segment_rows import segments_info

FEW = 4  # pairs that cost next to nothing
MOVED = 4  # pixels
SWAPPED = 0.2  # of the segments
THEIRS = (
    "import json, sys; from hotcoco.panoptic import PanopticEval; e = PanopticEval(*sys.argv[1:]); e.evaluate(); "
    "print(json.dumps(e.results()['All']))"
)
OURS = "import sys; from pantile.cli.main import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", help="a Python with hotcoco")
    parser.add_argument("data", type=Path, help="the folder facades")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pairs(folder, CocoPanoptic(args.data, "val", need_images=False), args.pairs, args.side)
        told, spent = turns(folder, args.peer, args.rounds, args.workers)
    beyond = {
        side: 1000 * (spent[side, "all"] - spent[side, "few"]) / (args.pairs - FEW)
        for side in ("hotcoco", "--only pq", "everything")
    }
    claims = Claims()
    for side, milliseconds in beyond.items():
        print(f"{side:12s} {milliseconds:6.2f} ms a pair beyond {spent[side, 'few']:.2f} s of start-up")
    assert math.isclose(told["everything"], told["hotcoco"], rel_tol=1e-12), told
    claims.at_most("--only pq, of hotcoco", beyond["--only pq"] / beyond["hotcoco"], 1.0)
    claims.at_most("everything, of hotcoco", beyond["everything"] / beyond["hotcoco"], 2.5)
    claims.finish()


def write_pairs(folder: Path, maps: CocoPanoptic, pairs: int, side: int) -> None:
    """JSONs ``gt_all``, ``pred_all`` with their PNGs, and of the first few pairs ``gt_few``, ``pred_few``."""
    rng, rows = np.random.default_rng(0), {"gt": [], "pred": []}
    for number in range(pairs):
        whole = maps.load_map(number % len(maps))
        ids = np.array(Image.fromarray(whole.ids).resize((side, side * 3 // 4), Image.Resampling.NEAREST))
        moved = np.roll(ids, rng.integers(-MOVED, MOVED + 1, 2).tolist(), (0, 1))
        kept = [s for s in whole.segments if s.id in set(np.unique(ids).tolist())]
        guessed = [swapped(segment, maps.taxonomy, rng) for segment in kept]
        for name, own, segments in (("gt", ids, kept), ("pred", moved, guessed)):
            panoptic, file = PanopticMap(own, tuple(segments)), f"{number:05d}.png"
            for amount in ("all", "few"):
                (folder / f"{name}_{amount}").mkdir(exist_ok=True)
            Image.fromarray(ids_to_rgb(own)).save(folder / f"{name}_all" / file)
            info = segments_info(panoptic, maps.taxonomy)
            rows[name].append({"image_id": number, "file_name": file, "segments_info": info})
    images = [{"id": n, "file_name": f"{n:05d}.jpg", "width": side, "height": side * 3 // 4} for n in range(pairs)]
    for name, own in rows.items():
        for row in own[:FEW]:
            (folder / f"{name}_few" / row["file_name"]).symlink_to(folder / f"{name}_all" / row["file_name"])
        for amount, count in (("all", pairs), ("few", FEW)):
            content = {
                "images": images[:count],
                "categories": maps.taxonomy.to_coco(),
                "annotations": own[:count],
            }
            (folder / f"{name}_{amount}.json").write_text(json.dumps(content))


def swapped(segment: Segment, taxonomy: Taxonomy, rng: np.random.Generator) -> Segment:
    other = int(rng.integers(len(taxonomy))) if rng.random() < SWAPPED else segment.class_index
    return replace(segment, class_index=other, is_crowd=False)


def turns(folder: Path, peer: str, rounds: int, workers: int) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """What each says of all pairs, and the median of its processor seconds for all and for few."""
    told: dict[str, float] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for amount in ("all", "few"):
            gt, pred = (str(folder / f"{name}_{amount}.json") for name in ("gt", "pred"))
            out = folder / "said.json"
            ours = [sys.executable, "-c", OURS, "score", "--gt", gt, "--pred", pred]
            ours += ["--json", str(out), "--workers", str(workers)]
            sides = {
                "hotcoco": [peer, "-c", THEIRS, gt, pred],
                "--only pq": [*ours, "--only", "pq"],
                "everything": ours,
            }
            for side, command in sides.items():
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                own = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
                seconds.setdefault((side, amount), []).append(own)
                if amount == "all":
                    said = json.loads(answer) if side == "hotcoco" else json.loads(out.read_text())["panoptic"]["all"]
                    told[side] = said["pq"]
    return told, {key: statistics.median(values) for key, values in seconds.items()}


if __name__ == "__main__":
    main()
