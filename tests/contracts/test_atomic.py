"""Files that take the place of others: whole, with the umask's mode, under any name, from any number of threads."""

import errno
import os
import stat
import threading

import pytest

from pantile.contracts.atomic import remove_leftovers, replacing, replacing_folder


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_the_mode_whatever_the_writer_prefers(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        for name, own in (("plain", None), ("closed", 0o600), ("open", 0o666)):
            with replacing(tmp_path / name) as temporary:
                temporary.unlink()  # as writers do that make a file of their own
                temporary.write_text("new")
                if own is not None:
                    temporary.chmod(own)
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("name", ["a" * 251 + ".pth", "ä" * 125 + ".json", "x." + "y" * 250])
def test_a_name_of_full_length_can_be_written(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("new")
        if len(suffix := (tmp_path / name).suffix) < 10:  # by which writers choose a format
            assert temporary.suffix == suffix
    assert (tmp_path / name).read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_name_that_does_not_fit_is_told_before_the_work(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, code in ((tmp_path / ("z" * 300), errno.ENAMETOOLONG), (folder, errno.EISDIR)):
        with pytest.raises(OSError) as told, replacing(path):
            pytest.fail("the work was done")
        assert told.value.errno == code and told.value.filename == str(path)


def test_the_old_file_stays_and_nothing_else_when_the_disk_is_full(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left"), replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_content_is_synced_before_its_name_and_the_folder_after(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.exists())))
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert seen == [(False, False), (True, True)]


def test_threads_do_not_share_a_temporary_file(tmp_path):
    path, together = tmp_path / "file", threading.Barrier(8)

    def write(number: int) -> None:
        with replacing(path) as temporary:
            together.wait()
            temporary.write_text(str(number) * 1000)
            together.wait()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in {str(number) * 1000 for number in range(8)} and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_can_be_removed(tmp_path):
    child = os.fork()
    if not child:
        with replacing(tmp_path / "last.ckpt") as temporary:
            temporary.write_text("half")
            os._exit(0)
    os.waitpid(child, 0)
    (tmp_path / ".last.notes.ckpt").write_text("of somebody else")
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path / "last.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == [".last.notes.ckpt"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    before = os.umask(0o022)
    try:
        (tmp_path / "taken").mkdir()
        for name in ("new", "taken"):
            with replacing_folder(tmp_path / name) as temporary:
                (temporary / "model.safetensors").write_text("weights")
                (temporary / "model.safetensors").chmod(0o600)
                assert not list(tmp_path.glob(f"{name}/*"))
            assert stat.S_IMODE((tmp_path / name / "model.safetensors").stat().st_mode) == 0o644
        with pytest.raises(KeyboardInterrupt), replacing_folder(tmp_path / "other") as temporary:
            (temporary / "half").write_text("")
            raise KeyboardInterrupt
    finally:
        os.umask(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "taken"]
