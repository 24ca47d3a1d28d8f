"""A fuzzer: 500 damaged pairs of files, of which each is refused in one sentence or scored as if it were whole."""

import json
import random
import shutil
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from score_files import scored, write_maps

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["cat", "dog", "sky"], things=["cat", "dog"])
FILES = 500

ODD = [
    None,
    "",
    "1",
    "7",
    -1,
    0,
    1.5,
    1e400,
    2**70,
    True,
    [],
    {},
    [1],
    {"a": 1},
    "../../x.png",
    "/etc/hostname",
    "\ud800",
]


def truncated(random: random.Random, content: bytes) -> bytes:
    return content[: random.randrange(len(content))]


def flipped(random: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def spliced(random: random.Random, content: bytes) -> bytes:
    first, second = sorted(random.randrange(len(content)) for _ in range(2))
    return content[:first] + random.randbytes(random.randint(0, 30)) + content[second:]


def with_valid_checksums(damage: Callable) -> Callable:
    """Damages the inside of one chunk and signs it anew, so that only the decoder can notice."""

    def resigned(random: random.Random, content: bytes) -> bytes:
        chunks, position = [], 8
        while position < len(content):
            length, kind = struct.unpack_from(">I4s", content, position)
            chunks.append((kind, content[position + 8 : position + 8 + length]))
            position += 12 + length
        victim = random.choice([k for k, (_, body) in enumerate(chunks) if body])
        chunks[victim] = (chunks[victim][0], damage(random, chunks[victim][1]))
        if random.random() < 0.2:
            chunks.append((random.choice([b"zTXt", b"iCCP", b"tRNS", b"gAMA", b"acTL", b"eXIf"]), random.randbytes(20)))
            random.shuffle(chunks)
        out = content[:8]
        for kind, body in chunks:
            out += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        return out

    return resigned


def another_image(random: random.Random, path: Path) -> None:
    mode = random.choice(["1", "L", "LA", "P", "I;16", "RGB", "RGBA", "CMYK"])
    kind = "TIFF" if mode == "CMYK" else random.choice(["PNG", "PNG", "BMP" if mode in ("L", "RGB") else "PNG"])
    size = (random.randint(1, 20), random.randint(1, 20))
    Image.new(mode, size).save(path, kind)


def damage_png(random: random.Random, folder: Path) -> str:
    path = random.choice(sorted(folder.glob("*/*.png")))
    kind = random.choice(["truncated", "flipped", "spliced", "resigned", "image", "gone", "folder"])
    if kind == "image":
        another_image(random, path)
    elif kind in ("gone", "folder"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
    else:
        damage = {"truncated": truncated, "flipped": flipped, "spliced": spliced}.get(kind)
        damage = damage or with_valid_checksums(random.choice([truncated, flipped, spliced]))
        path.write_bytes(damage(random, path.read_bytes()))
    return kind


def places(value: object, found: list | None = None) -> list[tuple[object, object]]:
    """(container, key) of everything in a JSON."""
    found = [] if found is None else found
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        found.append((value, key))
        places(value[key], found)
    return found


def damage_json(random: random.Random, folder: Path) -> str:
    path = random.choice(sorted(folder.glob("*.json")))
    kind = random.choice(["bytes", "missing", "extra", "mistyped", "mistyped", "twice", "whole"])
    if kind == "bytes":
        damage = random.choice([truncated, flipped, spliced])
        path.write_bytes(damage(random, path.read_bytes()))
        return kind
    content = json.loads(path.read_text())
    container, key = random.choice(places(content))
    if kind == "missing":
        del container[key]
    elif kind == "extra" and isinstance(container, dict):
        container[random.choice(["area", "bbox", "iscrowd", "x", "id", "category_id"])] = random.choice(ODD)
    elif kind == "mistyped":
        container[key] = random.choice(ODD)
    elif kind == "twice":
        rows = random.choice([content["annotations"], content["categories"]])
        rows.append(random.choice(rows))
    elif kind == "whole":
        content = random.choice(ODD)
    path.write_text(json.dumps(content))
    return kind


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_never_a_traceback_and_never_a_wrong_score(tmp_path):
    ids = np.kron(np.random.default_rng(0).integers(0, 5, (2, 3, 4)), np.ones((1, 4, 4), int))
    maps = [PanopticMap(i, tuple(Segment(int(v), int(v) % 3) for v in np.unique(i) if v)) for i in ids]
    whole = tmp_path / "whole"
    write_maps(whole, "gt", maps, TAXONOMY)
    write_maps(whole, "pred", [PanopticMap(np.roll(m.ids, 1, 1), m.segments) for m in maps], TAXONOMY)
    honest = scored(whole / "gt.json", whole / "pred.json").to_dict()
    outcomes: Counter = Counter()
    for seed in range(FILES):
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        source = random.Random(seed)
        kind = source.choice([damage_png, damage_json])(source, folder)
        try:
            found = scored(folder / "gt.json", folder / "pred.json").to_dict()
        except UserError as error:
            text = str(error)
            assert "\n" not in text and len(text) < 500, (seed, kind, text)
            assert "gt" in text or "pred" in text, (seed, kind, text)
            outcomes["refused"] += 1
        else:
            if found == honest:
                outcomes["unharmed"] += 1
            else:
                assert _means_something_else(whole, folder), (seed, kind)
                outcomes["another meaning"] += 1
        shutil.rmtree(folder)
    assert outcomes.total() == FILES
    assert outcomes["refused"] > 300 and outcomes["unharmed"] > 20, outcomes


def _means_something_else(whole: Path, folder: Path) -> bool:
    """Whether the damage left two valid files that say something different: then the score must differ.

    Pixels never may: a PNG that decodes must hold what its checksums promise.
    """
    for path in whole.glob("*/*.png"):
        other = folder / path.relative_to(whole)
        if other.is_file() and (np.asarray(Image.open(path)) != np.asarray(Image.open(other).convert("RGB"))).any():
            return False
    texts = [[json.loads((root / name).read_text()) for name in ("gt.json", "pred.json")] for root in (whole, folder)]
    return _meaning(texts[0]) != _meaning(texts[1])


def _meaning(contents: list[dict]) -> object:
    """What of two files a score may depend on."""
    gt, pred = contents
    rows = [
        {
            str(a["image_id"]): [
                (a["file_name"], s["id"], s["category_id"], own and str(s.get("iscrowd", 0)) in ("1", "True", "1.0"))
                for s in a["segments_info"]
            ]
            for a in content["annotations"]
        }
        for content, own in ((gt, True), (pred, False))
    ]
    categories = [(c["id"], str(c["name"]), str(c["isthing"]) in ("1", "True", "1.0")) for c in gt["categories"]]
    return rows, categories
