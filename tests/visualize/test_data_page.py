"""The page of labelled images: self-contained, escaped, and right about every pixel in a real browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from pantile.contracts.panoptic import VOID_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import ClassInfo, Taxonomy
from pantile.visualize.data_page import DataPage, render_data_page, write_data_page
from pantile.visualize.labelled_image import draw_labelled

EVIL = "</script><b>&\"'"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1100,700"]

# Points at every third pixel of every picture and writes down what the tip says; then leaves, then clicks.
PROBE = """
<pre id="probe"></pre>
<script>
addEventListener("load", () => {
  const found = {tips: [], dimmed: [], left: [], photo: []};
  document.querySelectorAll(".stack").forEach((stack, k) => {
    const {width, height} = images[k], tips = [];
    const send = (kind, x, y) => {
      const box = stack.getBoundingClientRect();
      const clientX = box.left + (x + 0.5) / width * box.width, clientY = box.top + (y + 0.5) / height * box.height;
      stack.dispatchEvent(new PointerEvent(kind, {clientX, clientY, bubbles: true}));
    };
    for (let y = 0; y < height; y += 3) for (let x = 0; x < width; x += 3) {
      send("pointermove", x, y);
      tips.push(tip.hidden ? null : [x, y, heading.textContent, detail.textContent]);
    }
    found.tips.push(tips);
    send("pointermove", 0, 0);
    const canvas = stack.querySelector("canvas");
    const cover = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    found.dimmed.push(cover.filter((value, at) => at % 4 === 3 && value > 0).length);
    send("pointerleave", 0, 0);
    found.left.push(tip.hidden);
    const visible = () => getComputedStyle(stack.querySelector(".photo")).display !== "none";
    const before = visible();
    stack.click();
    found.photo.push([before, visible()]);
  });
  document.getElementById("probe").textContent = JSON.stringify(found);
});
</script>
</body>"""


@pytest.fixture
def page(photo, scene, taxonomy) -> DataPage:
    """The scene, and a picture without a single label; one class has a name that would break a careless page."""
    classes = (ClassInfo(EVIL, True, 1, (70, 200, 230)), *taxonomy.classes[1:])
    taxonomy = Taxonomy(classes)
    empty = PanopticMap(np.zeros((20, 30), np.int32), ())
    images = [
        draw_labelled(f"{EVIL}.jpg", photo, scene, taxonomy),
        draw_labelled("empty.jpg", photo[:20, :30], empty, taxonomy),
    ]
    return DataPage(f"title {EVIL}", "2 of 2 images.", images, taxonomy)


def expected(panoptic: PanopticMap, taxonomy: Taxonomy, x: int, y: int) -> list[str]:
    """What the tip must say, from the map itself."""
    value = int(panoptic.ids[y, x])
    area = int((panoptic.ids == value).sum())
    share = f"{area:,} pixels ({100 * area / panoptic.ids.size:.1f} %)"
    if value == VOID_ID:
        return ["void", f"no label · {share}"]
    segment: Segment = next(s for s in panoptic.segments if s.id == value)
    info = taxonomy.classes[segment.class_index]
    words = ["thing" if info.is_thing else "stuff", f"id {value}", *(["crowd"] if segment.is_crowd else []), share]
    return [info.name, " · ".join(words)]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: the page is not tried in a browser")
def test_every_pixel_tells_its_segment_in_a_browser(page, scene, tmp_path):
    path = tmp_path / "index.html"
    path.write_text(render_data_page(page).replace("</body>", PROBE), encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=4000", "--dump-dom"]
    dom = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=120).stdout
    written = re.search(r'<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert written and written[1], "the script did not run to its end"
    found = json.loads(html.unescape(written[1]))
    empty = PanopticMap(np.zeros((20, 30), np.int32), ())
    for panoptic, tips, dimmed in zip((scene, empty), found["tips"], found["dimmed"], strict=True):
        assert len(tips) == len(range(0, panoptic.size[0], 3)) * len(range(0, panoptic.size[1], 3))
        for x, y, *words in tips:
            assert words == expected(panoptic, page.taxonomy, x, y), (x, y)
        assert dimmed == (panoptic.ids != panoptic.ids[0, 0]).sum()
    assert found["left"] == [True, True]
    assert found["photo"] == [[False, True], [False, True]]


def test_refers_to_nothing_outside_and_escapes(page):
    text = render_data_page(page)
    references = re.findall(r"""(?:src|href|srcset|data)\s*=\s*["']([^"']*)|url\(""", text)
    assert len(references) == 4 and all(reference.startswith("data:image/jpeg;base64,") for reference in references)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert EVIL not in text and text.count("</script>") == 1
    assert html.escape("</script><b>") in text


def test_the_lookup_is_the_map(page, scene):
    lookup = json.loads(re.search(r"^const images = (.*);$", render_data_page(page), re.MULTILINE)[1])
    rows = np.repeat(lookup[0]["rows"], lookup[0]["lengths"]).reshape(scene.size)
    ids = np.array([VOID_ID] + [segment["id"] for segment in lookup[0]["segments"]])
    assert (ids[rows] == scene.ids).all()
    assert [segment["crowd"] for segment in lookup[0]["segments"]] == [s.is_crowd for s in scene.segments]
    assert lookup[1]["segments"] == [] and lookup[1]["voidArea"] == 600


def test_the_legend_lists_what_occurs(page):
    listed = re.findall(r"<li>.*?</span>(.*?)</li>", render_data_page(page))
    assert [html.unescape(name) for name in listed] == [EVIL, "car", "wall", "street", "crowd", "void"]


def test_the_file_appears_whole(page, tmp_path):
    write_data_page(tmp_path / "new" / "index.html", page)
    assert (tmp_path / "new" / "index.html").read_text(encoding="utf-8") == render_data_page(page)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["index.html"]
