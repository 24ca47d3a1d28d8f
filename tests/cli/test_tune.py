"""`pantile tune`: prints what thresholds are worth, and writes weights that have them."""

import pytest

from export.tiny_checkpoint import registered, write_tiny_run
from pantile.cli.main import main
from pantile.engine.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    with registered():
        write_tiny_run(folder / "run", folder / "data")
        yield folder


def test_numbers_and_weights(folder, capsys):
    out = folder / "tuned.safetensors"
    thresholds = ["merge.object_threshold=0.0,0.1,0.5", "merge.overlap_threshold=0.05,0.2,0.9"]
    arguments = ["tune", str(folder / "run"), "--data", str(folder / "data"), "--try", *thresholds]
    assert main([*arguments, "--out", str(out)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("2 images, ") and [line.split()[0] for line in said[1:4]] == ["PQ"] * 3
    assert float(said[2].split()[1]) >= float(said[1].split()[1])
    before, after = load_checkpoint(folder / "run"), load_checkpoint(out)
    assert after.state.keys() == before.state.keys() and after.step == before.step
    chosen = {item for item in said[2].split() if item.startswith("merge.")}
    for name in ("object_threshold", "overlap_threshold"):
        value = getattr(after.config.merge, name)
        assert (value != getattr(before.config.merge, name)) == (f"merge.{name}={value}" in chosen)
    after.config.merge = before.config.merge
    assert after.config == before.config
    assert main(["eval", str(out), "--data", str(folder / "data")]) == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--try", "overlap=0.5"], "give a threshold and its values, as in merge.overlap=0.5,0.7"),
        (["--try", "merge.overlap_threshold="], "give a threshold and its values"),
        (["--try", "merge.instances=1,2"], "merge.instances is no threshold of merge.kind=query_argmax to tune"),
        (["--try", "merge.overlap_threshold=much"], "merge.overlap_threshold"),
        (["--limit", "1"], "1 image to tune on: give at least two"),
        (["--out", "tuned.ckpt"], "end the name in .safetensors"),
    ],
)
def test_bad_input_is_a_sentence(options, sentence, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    with_input = ["tune", str(folder / "run"), "--data", str(folder / "data"), *options]
    try:
        code = main(with_input)
    except SystemExit as leaving:  # of the parser
        code = leaving.code
    told = capsys.readouterr().err
    assert code == 2 and sentence in told and "Traceback" not in told
    assert sorted(folder.rglob("*")) == before
