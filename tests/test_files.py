"""Files and folders appear whole or not at all, and a disk that refuses is named."""

from __future__ import annotations

import errno

import pytest

from penwright import files
from penwright.errors import OutOfRoomError, UsageError


def fail(code, name=None):
    raise OSError(code, "no luck", name)


def writing(path, code, name=None):
    with files.atomic_file(path) as temporary:
        temporary.write_text("half")
        fail(code, name and str(name))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_told_and_the_old_file_stays(tmp_path, code):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(OutOfRoomError, match=r"a\.txt could not be written: no luck") as caught:
        writing(path, code)
    assert caught.value.fix
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_other_errors_keep_their_own_message(tmp_path):
    path = tmp_path / "a.txt"
    for code, name in ((errno.EIO, None), (errno.EACCES, tmp_path / "input.csv")):
        with pytest.raises(OSError, match="no luck"):
            writing(path, code, name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_made_and_a_file_is_no_folder(tmp_path):
    files.write_json(tmp_path / "new" / "run.json", {})
    (tmp_path / "file").touch()
    with pytest.raises(OutOfRoomError, match="could not be written: file exists"):
        files.write_json(tmp_path / "file" / "run.json", {})


def test_only_an_empty_folder_may_exist_already(tmp_path):
    files.refuse_existing(tmp_path / "new")
    files.refuse_existing(tmp_path)
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(UsageError, match="exists already"):
            files.refuse_existing(path)


def test_an_atomic_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "folder"

    def stop_halfway():
        with files.atomic_folder(target) as folder:
            (folder / "first").write_text("1")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        stop_halfway()
    assert list(tmp_path.iterdir()) == []
    for text in ("old", "new"):
        with files.atomic_folder(target) as folder:
            (folder / "file").write_text(text)
            assert not target.exists() or (target / "file").read_text() == "old"
    assert (target / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
