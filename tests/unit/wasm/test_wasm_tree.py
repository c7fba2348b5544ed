"""A directory that a stranger has filled: how it is measured, and how it goes away."""

from __future__ import annotations

import os
import resource

import pytest

from ipvm_queue.wasm.tree import MAX_DEPTH, exceeds, nameless, remove

BLOCK = 4096


@pytest.fixture
def work(tmp_path):
    """Return a directory that is removed after the test, whatever was put into it: pytest cannot remove all of it."""
    directory = tmp_path / "work"
    directory.mkdir()
    yield directory
    remove(directory)


def nest(directory, depth, name):
    """Make directories in one another, which have no path if they are deep enough; return the last one, open."""
    last = os.open(directory, os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=last)
        inner = os.open(name, os.O_DIRECTORY, dir_fd=last)
        os.close(last)
        last = inner
    return last


def test_files_and_directories_count(work):
    """Each a block at least; a link counts itself, not what it leads to."""
    (work / "inner").mkdir()
    (work / "inner" / "file").write_bytes(b"x" * 10_000)
    (work / "inner" / "small").write_bytes(b"x")
    (work / "link").symlink_to("/usr")

    assert not exceeds(work, 10_000 + 3 * BLOCK)
    assert exceeds(work, 10_000 + 3 * BLOCK - 1)


def test_a_path_may_be_longer_than_the_system_takes(work):
    """What lies at its end counts like anything else."""
    last = nest(work, 20, "a" * 250)
    with os.fdopen(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=last), "wb") as file:
        file.write(b"x" * 10_000)
    os.close(last)

    assert not exceeds(work, 10_000 + 20 * BLOCK)
    assert exceeds(work, 10_000 + 20 * BLOCK - 1)


def test_what_is_too_deep_is_too_much(work):
    """To look at each level takes a descriptor."""
    os.close(nest(work, MAX_DEPTH, "a"))
    assert not exceeds(work, 1 << 30)

    os.close(nest(work / ("a/" * MAX_DEPTH), 1, "a"))
    assert exceeds(work, 1 << 30)


def test_what_cannot_be_looked_at_is_too_much(work):
    """Nobody knows what is in a directory that cannot be opened: here, because too many files are open."""
    (work / "a" / "b" / "c").mkdir(parents=True)
    free = os.dup(0)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
    try:
        assert exceeds(work, 1 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not exceeds(work, 1 << 30)


def test_an_open_file_without_a_name_is_seen(work):
    """It takes its place until it is closed."""
    before = nameless()
    with (work / "file").open("wb", buffering=0) as file:
        file.write(b"x" * 10_000)
        assert nameless() == before
        (work / "file").unlink()

        assert nameless() == before + 10_000
    assert nameless() == before


@pytest.mark.parametrize(("depth", "name"), [(1500, "a"), (20, "a" * 250)])
def test_what_is_deep_can_be_removed(work, depth, name):
    """Deeper than Python recurses, and with files and links on the way, which are not followed."""
    last = nest(work, depth, name)
    os.symlink(work.parent, "link", dir_fd=last)
    os.close(os.open("file", os.O_CREAT, dir_fd=last))
    os.close(last)
    (work / "link").symlink_to(work.parent)
    (work.parent / "outside").touch()

    remove(work)

    assert [path.name for path in work.parent.iterdir()] == ["outside"]


def test_what_its_owner_may_not_change_can_be_removed(work):
    """A mode is not what keeps a directory."""
    (work / "closed" / "inner").mkdir(parents=True)
    (work / "closed" / "inner" / "file").touch()
    (work / "closed" / "inner").chmod(0)
    (work / "closed").chmod(0o500)

    remove(work)

    assert not work.exists()


def test_removing_what_is_not_there_is_quiet(tmp_path):
    """Nothing is raised for what cannot be removed."""
    remove(tmp_path / "none")
