"""Hard gates on the source itself: who writes files, which paths it names, which columns a schema version has."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from rugs_lake.store.schema import COLUMNS, SCHEMA_VERSION, columns_of, parse_version

ROOT: Final = Path(__file__).parents[3]

WRITERS: Final = ("rugs_lake", "rugs_index", "rugs_discovery", "rugs_export", "rugs_legacy.dual_write", "legacy_writer")
"""The only rooms whose files under the data root are data: lake, index, discovery, exports, old formats of stage A."""

OWN_FILES: Final = {
    "rugs_core.entry": "the null device, where nobody reads the output",
    "rugs_core.files": "writes durably what its caller names: the only place that does",
    "rugs_client.spool_file": "a producer's spool, in the folder that the producer names",
    "rugs_client.waiting": "opens a spool read-only, to count what waits in it",
    "rugs_client.spool": "the same: what a damaged spool still holds goes into a new one",
    "rugs_runtime.service": "state/<service>.lock: who is running",
    "rugs_runtime.broker": "state/: the embedded broker's configuration, lock and log",
    "rugs_runtime.programs": "state/logs: what a program prints",
    "rugs_runtime.log_files": "state/logs: rotates what a program prints",
    "rugs_runtime.stack": "state/stack.json and stack.lock: which stack is running",
    "rugs_cli.commands.stack": "state/logs: what the supervisor prints",
    "rugs_cli.results": "the file that `rugs sql --out` names",
    "rugs_sim.wire_log": "the simulator's log, in the file that the user names",
    "rugs_sim.old_files.generate": "makes up recordings, in the folder that the user names",
}
"""Modules that open other files for writing, and which."""

FOLDERS_NAMED: Final = {
    "rugs_sim.old_files.generate": "the made-up set lies as the old recorders' files did",
    "rugs_cli.demo": "the folder of the shipped recordings, in the repository",
    "rugs_index.chunkers.game": "no folder: a key of a chunk's metadata",
    "rugs_index.chunkers.session": "no folder: a key of a chunk's metadata",
}
HOMES_NAMED: Final = {
    "rugs_runtime.settings.base": "the default of RUGS_DATA_DIR",
    "rugs_guard.names": "what `rugs guard` looks for",
    "rugs_discovery.schema": "no home: the name of the files of an event that has no name",
}
PINNED: Final = {
    "1.0.0": "bc93149863786a3df6a06327157aa040b22a2696869bc941b0b3fbe080666d51",
    "1.1.0": "239c618761af6ade9c1c7dbcdf251814faa2dcb2e03ae629ae36d7a90933135e",
}
"""Digest of the columns that each schema version has. A released version's never changes: a new one is added."""
GAMES_NAMED: Final = {
    "rugs_lake": "open(games=): a filter on game_id",
    "rugs_lake.read.pruning": "the same",
    "rugs_lake.maintain.change": "a change of one game: a filter on game_id",
    "rugs_lake.maintain.migration": "whether game_id changes",
    "rugs_lake.maintain.verify": "rules about game_id",
    "rugs_lake.store.change_scope": "the scope of a change: a filter on game_id",
    "rugs_lake.store.changes": "the same",
    "rugs_lake.store.commit": "whether game_id changes",
    "rugs_lake.store.held": "the scope of game_id",
    "rugs_lake.store.refusals": "rules about game_id",
    "rugs_lake.store.rows": "the scope of game_id",
    "rugs_proto.rules": "the name of a source, public_ws",
    "rugs_proto.envelope": "what game_id and player_id are",
    "rugs_proto.subjects": "what alerts are about",
}
"""Modules of the lake and the contract that name games, beside their domain; all because of the envelope's keys."""
OF_GAMES: Final = frozenset(
    {
        *("game", "games", "tick", "ticks", "rug", "rugged", "phase", "price", "prices", "cooldown", "leaderboard"),
        *("trade", "trades", "player", "players", "bet", "bets", "ws"),
    }
)
OLD_FOLDER: Final = re.compile(r"(^|[/\\])(raw_captures|cdp_captures|rag_events|(rugs_)?recordings)($|[/\\])")
HOME: Final = re.compile(r"(^|[^\w.])(/home/|/Users/|/root/|~[/\\])|^~$|[A-Z]:\\Users\\")
FOLDERS: Final = {
    "rugs_lake": re.compile(r"(^|[/\\])(events_parquet|manifests|lake\.sqlite)($|[/\\])"),
    "rugs_discovery": re.compile(r"(^|[/\\])discovery($|[/\\])"),
    "rugs_index": re.compile(r"(^|[/\\])vectors($|[/\\])"),
}
"""The rooms that have folders under the data root, and the names of these: no other room knows them, so none writes."""
SAME_WORD: Final = {
    "rugs_cli.app": "the command `rugs discovery`",
    "rugs_index.chunkers.event": "the source of chunks that are made of discovery",
}
"""Modules that have such a name as a word of their own, and no folder by it."""
COPY: Final = re.compile(r"\b(COPY|EXPORT)\b.*\bTO\b|\bATTACH\b", re.DOTALL)

_WRITE_MODE: Final = re.compile(r"[rbt]*[wax+]")
_WRITING_METHODS: Final = {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "rename"}
_WRITING_FUNCTIONS: Final = {
    ("os", "rename"), ("os", "replace"), ("os", "link"), ("os", "symlink"), ("os", "truncate"), ("os", "mkfifo"),
    ("shutil", "copy"), ("shutil", "copy2"), ("shutil", "copyfile"), ("shutil", "copytree"), ("shutil", "move"),
    ("sqlite3", "connect"), ("tempfile", "NamedTemporaryFile"), ("tempfile", "mkstemp"), ("pq", "write_table"),
    ("pq", "ParquetWriter"), ("parquet", "ParquetWriter"), ("pa", "OSFile"), ("pyarrow", "OSFile"),
    ("pa", "memory_map"), ("pyarrow", "memory_map"),
}  # fmt: skip
_OPEN_FLAGS: Final = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}


@cache
def modules() -> Mapping[str, ast.Module]:
    """Return the syntax tree of every module of the libs and services, by name."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): ast.parse(path.read_text())
        for folder in (ROOT / "libs", ROOT / "services")
        for path in sorted(folder.rglob("*.py"))
    }


def is_writer(module: str) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in WRITERS)


def mode_writes(mode: ast.expr | None) -> bool:
    """Return whether a file opened in this mode can be written; a mode that only a run would tell can."""
    if mode is None:
        return False
    return not isinstance(mode, ast.Constant) or bool(_WRITE_MODE.match(str(mode.value)))


def writes(call: ast.Call) -> bool:
    """Return whether a call writes files, or opens one so that it can."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}

    def argument(place: int) -> ast.expr | None:
        return keywords.get("mode") or (call.args[place] if len(call.args) > place else None)

    match call.func:
        case ast.Name(id="open"):
            return mode_writes(argument(1))
        case ast.Attribute(value=ast.Name(id="os"), attr="open"):
            return any(isinstance(node, ast.Attribute) and node.attr in _OPEN_FLAGS for node in ast.walk(call))
        case ast.Attribute(value=ast.Name(id="io" | "gzip" | "bz2" | "lzma" | "codecs"), attr="open"):
            return mode_writes(argument(1))
        case ast.Attribute(value=ast.Name(id="rugs_lake" | "_Feed"), attr="open"):
            return False
        case ast.Attribute(attr="open"):
            return mode_writes(argument(0))
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=attr) if (
            owner,
            attr,
        ) in _WRITING_FUNCTIONS:
            return True
        case ast.Attribute(attr="replace"):
            return len(call.args) == 1 and not call.keywords  # a path's; that of a text takes two
        case ast.Attribute(attr=attr):
            return attr in _WRITING_METHODS
    return False


@cache
def texts(tree: ast.Module) -> list[str]:
    """Return every text of a module that is not a docstring; the parts of an f-string by themselves."""
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)  # also docstrings of constants
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def naming(pattern: re.Pattern[str]) -> dict[str, list[str]]:
    """Return the texts that match, by module."""
    found = {name: [text for text in texts(tree) if pattern.search(text)] for name, tree in modules().items()}
    return {name: matching for name, matching in found.items() if matching}


def writing_modules() -> set[str]:
    return {
        name
        for name, tree in modules().items()
        if any(isinstance(node, ast.Call) and writes(node) for node in ast.walk(tree))
    }


@pytest.mark.parametrize(
    "line",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "open(path, mode)",
        "io.open(path, 'r+')",
        "path.open('xb')",
        "(folder / name).open(mode='a')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "path.write_text(text)",
        "path.replace(target)",
        "os.rename(path, target)",
        "sqlite3.connect(path)",
        "pyarrow.parquet.ParquetWriter(path, schema)",
        "pq.write_table(table, path)",
        "shutil.copyfile(path, target)",
        "tempfile.NamedTemporaryFile(dir=folder)",
    ],
)
def test_the_gate_knows_a_write(line: str) -> None:
    assert any(writes(node) for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))


@pytest.mark.parametrize(
    "line", ["open(path)", "path.open('rb')", "text.replace('a', 'b')", "os.open(path, os.O_RDONLY)", "open(p, 'rt')"]
)
def test_the_gate_knows_a_read(line: str) -> None:
    assert not any(writes(node) for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))


def test_only_the_lake_and_the_exporters_write_files_and_every_other_module_that_does_is_named() -> None:
    assert {name for name in writing_modules() if not is_writer(name)} == OWN_FILES.keys()


@pytest.mark.parametrize("room", FOLDERS)
def test_no_other_room_knows_where_the_files_of_a_room_lie(room: str) -> None:
    others = {name for name in naming(FOLDERS[room]) if name.partition(".")[0] != room}
    assert others <= SAME_WORD.keys()


def test_a_name_that_is_no_folder_is_only_a_word() -> None:
    named = {name for pattern in FOLDERS.values() for name in naming(pattern)}
    assert SAME_WORD.keys() <= named
    assert not SAME_WORD.keys() & writing_modules()


def test_no_module_but_the_lake_has_duckdb_write_files() -> None:
    assert {name for name in naming(COPY) if not is_writer(name)} == set()


def test_no_path_of_a_home_is_in_code() -> None:
    assert naming(HOME).keys() == HOMES_NAMED.keys()
    users = {
        name
        for name, tree in modules().items()
        if any(isinstance(node, ast.Attribute) and (node.attr, ast.unparse(node.value)) == ("home", "Path")
               for node in ast.walk(tree))
    }  # fmt: skip
    assert users == {"rugs_lake.store.paths"}


@pytest.mark.parametrize(
    "name", ["Makefile", "compose.yaml", "Dockerfile", "deploy/nats.conf", "pyproject.toml", "scripts", ".ci"]
)
def test_no_path_of_a_home_is_in_what_builds_and_deploys(name: str) -> None:
    there = ROOT / name
    for path in [there] if there.is_file() else there.iterdir():
        if path.is_file():
            named = [line for line in path.read_text().splitlines() if re.search(r"/home/|/Users/", line)]
            assert not named, path


def test_no_old_folder_is_used_implicitly() -> None:
    assert naming(OLD_FOLDER).keys() == FOLDERS_NAMED.keys()


def words(tree: ast.Module) -> set[str]:
    """Return the words of a module's names and texts, without the envelope's keys."""
    named = list(texts(tree))
    for node in ast.walk(tree):
        for key in ("id", "attr", "arg", "name", "asname"):
            if isinstance(name := getattr(node, key, None), str):
                named.append(name)
    plain = re.sub(r"game_id|player_id", " ", " ".join(named))
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", plain)}


@pytest.mark.parametrize("line", ["tick = 1", "f(last_tick=1)", "class GameTick: pass", "x = 'SELECT price FROM y'"])
def test_the_gate_knows_what_is_of_games(line: str) -> None:
    assert words(ast.parse(line)) & OF_GAMES


def test_only_their_domain_knows_games() -> None:
    """All else in the contract and in the lake is the same for every domain."""
    rooms = ("rugs_proto", "rugs_lake")
    found = {
        name
        for name, tree in modules().items()
        if name.partition(".")[0] in rooms and not name.endswith(".domains.games") and words(tree) & OF_GAMES
    }
    assert found == GAMES_NAMED.keys() | {f"{room}.domains" for room in rooms}, "the registries name the domain"
    for path in (ROOT / "libs").glob("rugs_lake/*.sql"):
        assert not {*re.findall("[a-z]+", re.sub("--.*", "", path.read_text()).lower())} & OF_GAMES, path


def digest(version: str) -> str:
    columns = [(c.field_id, c.name, str(c.arrow), c.ducklake, c.since) for c in columns_of(version)]
    return hashlib.sha256(repr(columns).encode()).hexdigest()


def test_the_columns_of_every_schema_version_are_pinned() -> None:
    """Changed columns need a new version: minor for a new nullable column, major and `rugs migrate` for the rest."""
    assert {version: digest(version) for version in PINNED} == PINNED
    assert max(PINNED, key=parse_version) == SCHEMA_VERSION
    assert columns_of(SCHEMA_VERSION) == COLUMNS
