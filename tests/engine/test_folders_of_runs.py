"""Which run folders a new run may take."""

from pathlib import Path

import pytest

from pantile.contracts.errors import UserError
from pantile.engine.train import refuse_existing


def test_what_was_killed_before_its_first_checkpoint_is_no_run(tmp_path: Path) -> None:
    """Else it could neither be resumed nor started anew."""
    refuse_existing(tmp_path / "absent")
    for name in ("config.yaml", "run.json", "checkpoints/.last.12-0.ckpt", "logs/from_step_0000000/metrics.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
        refuse_existing(tmp_path)


@pytest.mark.parametrize("name", ["checkpoints/last.ckpt", "weights.safetensors", "notes.txt"])
def test_a_run_and_what_is_not_ours_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="the run folder exists; continue it with --resume or choose another --out"):
        refuse_existing(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="exists"):
        refuse_existing(tmp_path / "file")
