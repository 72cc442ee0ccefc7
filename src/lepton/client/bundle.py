"""The folder that goes along with a command: which files, and how they are packed. The same folder, the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import IO, TYPE_CHECKING

from lepton.core.errors import InvalidInput, TooLarge

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".leptonignore"
LEFT_AT_HOME = (
    ".git/", ".hg/", ".svn/", ".venv/", "__pycache__/", "node_modules/", ".tox/", ".nox/",
    ".mypy_cache/", ".pytest_cache/", ".ruff_cache/", ".ipynb_checkpoints/", ".DS_Store", ".lepton/",
    ".env", ".env.*", ".netrc", ".pypirc", ".npmrc", ".pgpass", ".git-credentials", ".ssh/", ".aws/", ".gnupg/",
    ".kube/",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.kdbx", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519",
)  # fmt: skip
"""What never goes along by itself: histories, environments, caches and what looks like a secret. A line ``!name`` in
``.leptonignore`` takes one of them along."""
_PIECE = 1 << 20
_NAMED = 5


@dataclass(frozen=True)
class Found:
    """One file or link of a folder."""

    path: PurePosixPath
    size_bytes: int
    is_link: bool


def find_files(folder: Path) -> list[Found]:
    """Return the files of a folder that go along, by their paths.

    Raises:
        InvalidInput: if it is no folder, or a link in it leads out.
    """
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise InvalidInput(f"There is no folder {folder}. Give the one in which the command is to run.")
    return sorted(_walk(root, root, _Ignores.of_root()), key=lambda found: found.path)


@contextmanager
def pack(
    folder: Path, *, max_bytes: int, extra: Mapping[str, bytes] = MappingProxyType({})
) -> Iterator[tuple[IO[bytes], int]]:
    """Pack what goes along into an open file: a tar archive packed with gzip, and its size.

    Args:
        folder: Where it is.
        max_bytes: The most that its files may have.
        extra: Files that are not in it; they take the place of those that are.

    Raises:
        TooLarge: if there is too much, with the largest files by name.
        InvalidInput: if a file cannot be read.
    """
    files = find_files(folder)
    _check_size(files, max_bytes)
    root = folder.expanduser().resolve()
    with tempfile.TemporaryFile() as packed:
        with (
            gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6, mtime=0, filename="") as zipped,
            tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for found in files:
                if str(found.path) not in extra:
                    _add(tar, root, found)
            for name in sorted(extra):
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(extra[name]), 0o644
                tar.addfile(info, io.BytesIO(extra[name]))
        size = packed.tell()
        packed.seek(0)
        yield packed, size


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Read a file piece by piece."""
    while piece := file.read(_PIECE):
        yield piece


def _add(tar: tarfile.TarFile, root: Path, found: Found) -> None:
    path = root / found.path
    info = tarfile.TarInfo(str(found.path))
    if found.is_link:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(_target(root, path)), 0o777
        tar.addfile(info)
        return
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
            tar.addfile(info, file)
    except OSError as error:
        raise InvalidInput(
            f"{found.path} cannot be read ({error.strerror}). Leave it at home with a line in {IGNORE_FILE}."
        ) from None


def _check_size(files: list[Found], max_bytes: int) -> None:
    total = sum(found.size_bytes for found in files)
    if total <= max_bytes:
        return
    largest = sorted(files, key=lambda found: found.size_bytes, reverse=True)[:_NAMED]
    named = ", ".join(f"{found.path} ({found.size_bytes / 1e6:.1f} MB)" for found in largest)
    raise TooLarge(
        f"The folder has {total / 1e6:.1f} MB, and {max_bytes / 1e6:.1f} MB go along with a command. The largest: "
        f"{named}. Leave what is not needed at home with lines in {IGNORE_FILE}, import data as datasets, or raise "
        "LEPTON_MAX_BUNDLE_MB here and at the server."
    )


def _walk(root: Path, folder: Path, ignores: _Ignores) -> Iterator[Found]:
    ignores = ignores.within(root, folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidInput(
            f"The folder {folder.relative_to(root)} cannot be read ({error.strerror}). "
            f"Leave it at home with a line in {IGNORE_FILE}."
        ) from None
    for entry in entries:
        path = PurePosixPath(Path(entry.path).relative_to(root).as_posix())
        is_folder = entry.is_dir(follow_symlinks=False)
        if ignores.leave_out(path, is_folder=is_folder):
            continue
        if is_folder:
            if not Path(entry.path, "pyvenv.cfg").exists():  # an environment, whatever it is called
                yield from _walk(root, Path(entry.path), ignores)
        elif entry.is_symlink():
            _target(root, Path(entry.path))
            yield Found(path, 0, is_link=True)
        elif entry.is_file():  # not a socket or a pipe
            yield Found(path, entry.stat().st_size, is_link=False)


def _target(root: Path, link: Path) -> Path:
    """Return what a link points to, as seen from it."""
    try:
        end = link.resolve()
        end.relative_to(root)
    except (ValueError, OSError, RuntimeError):
        raise InvalidInput(
            f"{link.relative_to(root)} is a link to outside of the folder, and what is there does not go along. "
            f"Copy it into the folder, or leave the link at home with a line in {IGNORE_FILE}."
        ) from None
    return Path(os.path.relpath(end, link.parent))


@dataclass(frozen=True)
class _Ignores:
    """The ignore files from the root down to a folder, innermost first, each with the folder it stands in."""

    defaults: GitIgnoreSpec
    ours: tuple[tuple[PurePosixPath, GitIgnoreSpec], ...] = ()
    git: tuple[tuple[PurePosixPath, GitIgnoreSpec], ...] = ()

    @classmethod
    def of_root(cls) -> _Ignores:
        from pathspec import GitIgnoreSpec

        return cls(GitIgnoreSpec.from_lines(LEFT_AT_HOME))

    def within(self, root: Path, folder: Path) -> _Ignores:
        at = PurePosixPath(folder.relative_to(root).as_posix())
        ours, git = _read(folder / IGNORE_FILE), _read(folder / ".gitignore")
        return _Ignores(
            self.defaults,
            ((at, ours), *self.ours) if ours else self.ours,
            ((at, git), *self.git) if git else self.git,
        )

    def leave_out(self, path: PurePosixPath, *, is_folder: bool) -> bool:
        said = _said(self.ours, path, is_folder)
        if said is not None and path.name != ".git":
            return said
        if self.defaults.match_file(f"{path}/" if is_folder else str(path)):
            return True
        return bool(_said(self.git, path, is_folder))


def _said(specs: tuple[tuple[PurePosixPath, GitIgnoreSpec], ...], path: PurePosixPath, is_folder: bool) -> bool | None:
    for at, spec in specs:
        inside = str(path.relative_to(at)) + ("/" if is_folder else "")
        said = spec.check_file(inside).include
        if said is not None:
            return said
    return None


def _read(path: Path) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(path.read_text(errors="replace").splitlines())
    except OSError:
        return None
