"""What a disk may hold after the power has gone, from a record of what a real process did.

`record` runs a program under strace. `Disk` replays the record call by call, and `Disk.after`
makes a folder as it may look if the power went at that moment:

* what was written to a file and not fsynced since may be there, absent, or cut;
* a name that was made, moved or removed, and whose folder was not fsynced since, may be as
  it was before; a folder whose own name is lost takes all that is in it along.

SQLite's `-shm` is mapped into memory and rebuilt; it is left out.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

CALLS: Final = (
    *("open", "openat", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek"),
    *("write", "pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "truncate", "fallocate", "copy_file_range"),
    *("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "rmdir", "symlink", "symlinkat", "sendfile"),
)
UNHANDLED: Final = {"writev", "pwritev", "pwritev2", "truncate", "fallocate", "copy_file_range", "sendfile"} | {
    *("symlink", "symlinkat", "rmdir", "dup", "dup2", "dup3")
}
"""Calls that the model does not know: meeting one on a file of the lake is an error of the test."""

Loss = Literal["all", "empty", "cut", "random", "nothing"]
"""What is lost of that which was not fsynced: everything; data, but no name; data in part, but no
name; anything, by chance; nothing (the process alone died)."""


@dataclass(frozen=True)
class Call:
    """One system call that succeeded: its name, arguments as strace wrote them, and result."""

    name: str
    arguments: list[str]
    result: int


def can_record() -> str | None:
    """Return why programs cannot be recorded here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian, Ubuntu: apt-get install strace)"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"strace may not trace here: {done.stderr.strip()[:200]}"


def record(command: Sequence[str | Path], folder: Path, cwd: Path) -> list[Call]:
    """Run a program under strace; return what its main thread asked of the system, in order."""
    folder.mkdir()
    strace = ["strace", "-ff", "-xx", "-s", "100000000", "-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
    process = subprocess.Popen([*strace, "-o", folder / "trace", *command], cwd=cwd, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors.decode()
    traces = [path.read_text() for path in folder.glob("trace.*")]
    writing = [trace for trace in traces if re.search(r"^(?:pwrite64|fsync|fdatasync|rename)", trace, re.MULTILINE)]
    assert len(writing) == 1, "helper threads may not write files: their order would be lost"
    return [call for line in writing[0].splitlines() if (call := _parse(line)) is not None]


_LINE: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?\d\w*)(?: .*)?")


def _parse(line: str) -> Call | None:
    match = _LINE.fullmatch(line)
    if match is None:
        assert line.startswith(("+++", "---")) or line.endswith("= ?"), line[:200]
        return None
    name, arguments, result = match.groups()
    return None if result == "-1" else Call(name, arguments.split(", "), int(result, 0))


def _text(argument: str) -> bytes:
    assert argument.startswith('"'), argument[:80]
    assert argument.endswith('"'), argument[-80:]
    return bytes.fromhex(argument[1:-1].replace("\\x", ""))


@dataclass(eq=False)
class Node:
    """A file or folder. `waiting` are changes of the content that were not fsynced."""

    is_folder: bool
    content: bytes = b""
    waiting: list[Callable[[bytearray], None]] = field(default_factory=list)


@dataclass
class Naming:
    """A change of names: (folder, name, node); a node of None takes the name away."""

    entries: list[tuple[Node, str, Node | None]]
    durable: bool = False


@dataclass
class Handle:
    """An open file; its position is -1 where it is only appended to."""

    node: Node
    position: int = 0


class Disk:
    """A folder and all in it, durable at first; then changed by `apply`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self._root = Node(is_folder=True)
        self._namings: list[Naming] = []
        self._now: dict[tuple[Node, str], Node] = {}
        self._handles: dict[int, Handle] = {}
        self._load(base, self._root)

    def _load(self, folder: Path, node: Node) -> None:
        for path in sorted(folder.iterdir()):
            if path.name.endswith("-shm"):
                continue
            inner = Node(path.is_dir(), b"" if path.is_dir() else path.read_bytes())
            self._name([(node, path.name, inner)], durable=True)
            if path.is_dir():
                self._load(path, inner)

    # --- what the process did

    def apply(self, call: Call) -> bool:
        """Do what a call did; return whether it changed anything here."""
        handler = getattr(self, f"_{call.name}", None)
        if handler is not None:
            return bool(handler(*call.arguments, result=call.result))
        assert call.name not in UNHANDLED or call.arguments[0] not in map(str, self._handles), call.name
        return False

    def _where(self, argument: str) -> tuple[Node, str] | None:
        path = Path(os.fsdecode(_text(argument)))
        if not path.is_absolute() or not path.is_relative_to(self.base) or path.name.endswith("-shm"):
            return None
        node = self._root
        parts = path.relative_to(self.base).parts
        for part in parts[:-1]:
            node = self._now[node, part]
        return (node, parts[-1]) if parts else (self._root, "")

    def _name(self, entries: list[tuple[Node, str, Node | None]], *, durable: bool = False) -> bool:
        self._namings.append(Naming(entries, durable))
        for folder, name, node in entries:
            if node is None:
                del self._now[folder, name]
            else:
                self._now[folder, name] = node
        return True

    def _openat(self, _: str, path: str, flags: str, *rest: str, result: int) -> bool:
        return self._open(path, flags, *rest, result=result)

    def _open(self, path: str, flags: str, *_: str, result: int) -> bool:
        self._handles.pop(result, None)
        where = self._where(path)
        if where is None:
            return False
        node = self._root if where[1] == "" else self._now.get(where)
        changed = node is None
        if node is None:
            assert "O_CREAT" in flags
            node = Node(is_folder=False)
            self._name([(*where, node)])
        self._handles[result] = Handle(node)
        if "O_TRUNC" in flags:
            node.waiting.append(bytearray.clear)
        if "O_APPEND" in flags:
            self._handles[result].position = -1
        return changed

    def _close(self, handle: str, result: int) -> bool:
        self._handles.pop(int(handle), None)
        return False

    def _fcntl(self, handle: str, what: str, *_: str, result: int) -> bool:
        assert "DUPFD" not in what or int(handle) not in self._handles
        return False

    def _lseek(self, handle: str, *_: str, result: int) -> bool:
        if int(handle) in self._handles:
            self._handles[int(handle)].position = result
        return False

    def _write(self, handle: str, data: str, _: str, result: int) -> bool:
        opened = self._handles.get(int(handle))
        if opened is None:
            return False
        content = _text(data)[:result]
        if opened.position < 0:
            opened.node.waiting.append(lambda there: there.extend(content))
        else:
            opened.node.waiting.append(_writing(opened.position, content))
            opened.position += result
        return True

    def _pwrite64(self, handle: str, data: str, _: str, offset: str, result: int) -> bool:
        opened = self._handles.get(int(handle))
        if opened is None:
            return False
        opened.node.waiting.append(_writing(int(offset), _text(data)[:result]))
        return True

    def _ftruncate(self, handle: str, size: str, result: int) -> bool:
        opened = self._handles.get(int(handle))
        if opened is None:
            return False
        wanted = int(size)
        opened.node.waiting.append(lambda there: _resize(there, wanted))
        return True

    def _fsync(self, handle: str, result: int) -> bool:
        opened = self._handles.get(int(handle))
        if opened is None:
            return False
        node = opened.node
        if node.is_folder:
            for naming in self._namings:
                naming.durable |= any(folder is node for folder, _, _ in naming.entries)
        else:
            node.content = _changed(node, node.waiting)
            node.waiting = []
        return True

    _fdatasync = _fsync

    def _rename(self, old: str, new: str, result: int) -> bool:
        source, target = self._where(old), self._where(new)
        if source is None or target is None:
            return False
        return self._name([(*source, None), (*target, self._now[source])])

    def _renameat(self, _: str, old: str, __: str, new: str, result: int) -> bool:
        return self._rename(old, new, result=result)

    def _renameat2(self, _: str, old: str, __: str, new: str, ___: str, result: int) -> bool:
        return self._rename(old, new, result=result)

    def _link(self, old: str, new: str, result: int) -> bool:
        source, target = self._where(old), self._where(new)
        if source is None or target is None:
            return False
        return self._name([(*target, self._now[source])])

    def _linkat(self, _: str, old: str, __: str, new: str, ___: str, result: int) -> bool:
        return self._link(old, new, result=result)

    def _unlink(self, path: str, result: int) -> bool:
        where = self._where(path)
        return where is not None and self._name([(*where, None)])

    def _unlinkat(self, _: str, path: str, __: str, result: int) -> bool:
        return self._unlink(path, result=result)

    def _mkdir(self, path: str, _: str, result: int) -> bool:
        where = self._where(path)
        return where is not None and self._name([(*where, Node(is_folder=True))])

    def _mkdirat(self, _: str, path: str, mode: str, result: int) -> bool:
        return self._mkdir(path, mode, result=result)

    # --- what may be left of it

    def read(self, name: str) -> bytes:
        """Return what the process has written to a file directly under the base, fsynced or not."""
        node = self._now.get((self._root, name))
        return b"" if node is None else _changed(node, node.waiting)

    def after(self, loss: Loss, target: Path, chance: random.Random) -> None:
        """Make a folder as the disk may be if the power goes now."""
        names: dict[tuple[Node, str], Node] = {}
        for naming in self._namings:
            if naming.durable or loss in ("empty", "cut", "nothing") or (loss == "random" and chance.random() < 0.5):
                for folder, name, node in naming.entries:
                    names.pop((folder, name), None)
                    if node is not None:
                        names[folder, name] = node
        children: dict[Node, list[tuple[str, Node]]] = {}
        for (folder, name), node in names.items():
            children.setdefault(folder, []).append((name, node))
        target.mkdir(parents=True)
        made: dict[Node, Path] = {}
        self._make(self._root, target, children, made, loss, chance)

    def _make(
        self,
        folder: Node,
        target: Path,
        children: dict[Node, list[tuple[str, Node]]],
        made: dict[Node, Path],
        loss: Loss,
        chance: random.Random,
    ) -> None:
        for name, node in children.get(folder, []):
            path = target / name
            if node.is_folder:
                path.mkdir()
                self._make(node, path, children, made, loss, chance)
            elif node in made:
                path.hardlink_to(made[node])
            else:
                path.write_bytes(_surviving(node, loss, chance))
                made[node] = path


def _surviving(node: Node, loss: Loss, chance: random.Random) -> bytes:
    waiting = node.waiting
    if loss in ("all", "empty"):
        return node.content
    if loss == "cut":
        content = _changed(node, waiting[: (len(waiting) + 1) // 2])
        return content[: max(len(node.content), len(content) - 100)] if waiting else content
    if loss == "random":
        waiting = [change for change in waiting if chance.random() < 0.5]
    return _changed(node, waiting)


def _changed(node: Node, changes: Sequence[Callable[[bytearray], None]]) -> bytes:
    content = bytearray(node.content)
    for change in changes:
        change(content)
    return bytes(content)


def _writing(offset: int, data: bytes) -> Callable[[bytearray], None]:
    def write(there: bytearray) -> None:
        if len(there) < offset:
            _resize(there, offset)
        there[offset : offset + len(data)] = data

    return write


def _resize(there: bytearray, size: int) -> None:
    del there[size:]
    there.extend(bytes(size - len(there)))
