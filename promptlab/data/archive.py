"""Unpacking a zip that somebody sent: into a temporary folder, within limits, never through a link or a path that leads out."""

import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from promptlab.errors import BadData

MAX_FILES = 50_000
MAX_BYTES = 4 << 30  # unpacked
MAX_RATIO = 200  # unpacked to packed; pictures hardly shrink at all
SMALL = 1 << 20  # below this many unpacked bytes a high ratio harms nobody
JUNK = ("__MACOSX", "Thumbs.db", "desktop.ini")


def hidden(name: str) -> bool:
    """Files and folders that the system leaves behind."""
    return name.startswith(".") or name in JUNK


class Unpacked:
    """A temporary folder with a zip's files; it goes when the last picture source over it goes."""

    def __init__(self, path: Path):
        self._folder = tempfile.TemporaryDirectory(prefix="promptlab-zip-")
        self.path = Path(self._folder.name)
        try:
            with zipfile.ZipFile(path) as archive:
                members = plan(archive, path.name)
                extract(archive, members, self.path, path.name)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
            self._folder.cleanup()
            why = str(error).rstrip(".") or type(error).__name__
            raise BadData(f"{path.name} cannot be unpacked ({why}); zip the folder again.") from None
        except BadData:
            self._folder.cleanup()
            raise


def plan(archive: zipfile.ZipFile, name: str) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The members to unpack with their safe relative paths; :class:`BadData` in one sentence when anything looks hostile."""
    members, packed, unpacked = [], 0, 0
    for info in archive.infolist():
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or PureWindowsPath(info.filename).drive:
            raise BadData(f"{name} holds '{info.filename}', a path that leads out of the folder; zip the pictures again yourself.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise BadData(f"{name} holds '{info.filename}', a link instead of a file; zip the pictures themselves.")
        if info.flag_bits & 1:
            raise BadData(f"{name} is locked with a password; unlock it and zip the pictures again.")
        packed, unpacked = packed + info.compress_size, unpacked + info.file_size
        if not info.is_dir() and not any(hidden(part) for part in path.parts):
            members.append((info, path))
    if len(members) > MAX_FILES:
        raise BadData(f"{name} holds {len(members)} files, more than {MAX_FILES}; unpack it yourself and give the folder.")
    if unpacked > MAX_BYTES:
        size = f"{unpacked / 1e9:.1f} GB, more than {MAX_BYTES / 1e9:.1f}"
        raise BadData(f"{name} unpacks to {size}; unpack it yourself and give the folder.")
    if unpacked > SMALL and unpacked > MAX_RATIO * max(packed, 1):
        raise BadData(f"{name} unpacks to {unpacked / max(packed, 1):.0f} times its size, as no pictures do; zip the pictures again.")
    return members


def extract(archive: zipfile.ZipFile, members: list[tuple[zipfile.ZipInfo, PurePosixPath]], folder: Path, name: str) -> None:
    """Write the members; a header that lies about its size is found out while copying."""
    for info, path in members:
        target = folder.joinpath(*path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("wb") as sink:
            shutil.copyfileobj(_Counted(source, info.file_size, name, info.filename), sink, 1 << 20)


class _Counted:
    def __init__(self, stream, promised: int, archive: str, member: str):
        self.stream, self.left, self.archive, self.member = stream, promised, archive, member

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise BadData(f"{self.archive} holds '{self.member}', which is larger than it says; zip the pictures again.")
        return data
