"""`rugs guard`: each fault of a producer's source is named with its line, and what is none is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_guard.check import check
from tests.support.stackkit import RUGS

RAW_CAPTURE_RECORDER = '''
    """Writes raw captures to /home/nomad/rugs_recordings/raw_captures."""
    import json
    from pathlib import Path

    class Capture:
        def __init__(self, capture_dir=None):
            self.folder = Path(capture_dir or "/home/somebody/rugs_recordings/raw_captures")
            self.folder.mkdir(parents=True, exist_ok=True)
            self.target = None
            self.handle = None

        def start(self, stamp):
            self.target = self.folder / f"{stamp}_raw.jsonl"
            self.handle = open(self.target, "w")

        def on_event(self, event):
            self.handle.write(json.dumps(event) + "\\n")
            self.handle.flush()
'''
TICK_SINK = """
    class Sink:
        def __init__(self, folder):
            self.folder = Path(folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.handle = None

        def start(self):
            filename = f"game_{datetime.now():%Y%m%d_%H%M%S}.jsonl"
            filepath = self.folder / filename
            self.handle = open(filepath, "w", encoding="utf-8")
            json.dump({"_metadata": {}}, self.handle)
            self.handle.write("\\n")
"""
GAME_DOCUMENTS = """
    class Unified:
        def __init__(self, base):
            self.folder = os.path.join(base, "games")

        def save(self, game):
            path = os.path.join(self.folder, self.name(game))
            with open(path, "w") as file:
                json.dump(game, file, indent=2)

        def name(self, game):
            return "%s_%s.game.json" % (game["ts"], game["id"])

        def press(self, action):
            if self.actions is None:
                self.actions = open("{}_player.jsonl".format(self.stem), "a")
            self.actions.write(json.dumps(action) + "\\n")
"""
WRITES = {
    "open": 'open("game_1.jsonl", "w")',
    "open for more": 'with open(folder + "/x.jsonl", mode="ab") as file: pass',
    "open in a mode that only a run tells": 'open("x.jsonl", mode)',
    "path.open": '(base / f"{stamp}_raw.jsonl").open("a")',
    "os.open": 'os.open("x.jsonl", os.O_WRONLY | os.O_CREAT)',
    "gzip": 'gzip.open("x.jsonl.gz", "wt")',
    "write_text": 'Path("x.game.json").write_text(text)',
    "write_bytes": 'recordings_dir.joinpath(name).write_bytes(data)',
    "json.dump": 'json.dump(game, (self.recording_file))',
    "rename": 'os.replace(unfinished, base / "x.jsonl")',
    "copy": 'shutil.copy(source, self.recordings_dir)',
    "folder": 'os.makedirs(os.environ["RECORDING_DIR"] + "/recordings/today")',
    "a name": 'target = "x.jsonl"\nopen(target, "w")',
    "names of names": 'a = b = base / "x.jsonl"\n(c, d) = a, 1\nwith c.open("x") as file: pass',
    "a default": 'def save(path="x.jsonl"):\n    open(path, "w")',
    "an argument": 'def save(path):\n    open(path, "w")\nsave(base / "x.jsonl")',
    "an argument of a class": 'class A:\n def __init__(s, p): s.p = p\n def f(s): open(s.p, "w")\nA(".jsonl")',
    "a return value": 'def name():\n    return f"{x}.jsonl"\nopen(name(), "w")',
    "an attribute of a class": 'class A:\n  NAME = "x.jsonl"\n  def f(self):\n    open(self.NAME, "w")',
    "a global": 'p = None\ndef f():\n    global p\n    p = "x.jsonl"\ndef g():\n    open(p, "w")',
    "lines": 'f = open(path, "a")\nf.write(json.dumps(event) + "\\n")',
    "lines in two steps": 'f = open(path, "a")\nf.write(json.dumps(event))\nf.write("\\n")',
    "lines by print": 'with path.open("w") as f:\n    print(json.dumps(event), file=f)',
    "lines by dump": 'with open(p, "a") as f:\n for e in events:\n  json.dump(e, f)\n  f.write("\\n")',
    "lines to a descriptor": 'with os.fdopen(fd, "a") as f:\n    f.write(json.dumps(r) + "\\n")',
    "lines at once": 'Path(p).write_text("\\n".join(json.dumps(x) for x in buffer))',
    "lines at once, mapped": 'Path(p).write_text("\\n".join(map(json.dumps, buffer)))',
    "lines by a function": 'def _line(r):\n return json.dumps(r) + "\\n"\nclass A:\n def __init__(s, p):\n'
    '  s.f = open(p, "a")\n def put(s, r):\n  s.f.write(_line(r))',
    "lines by a name": 'f = open(p, "a")\ndata = json.dumps(r)\nf.write(data + "\\n")',
    "lines by an option": 'f = open(p, "ab")\nf.write(orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE))',
    "jsonlines": 'with jsonlines.open(p, "a") as f:\n    f.write(r)',
    "jsonlines by keyword": 'jsonlines.open(p, mode="w")',
    "a log": 'handler = logging.FileHandler("ticks.jsonl")',
    "a log by keyword": 'logging.basicConfig(filename="events.ndjson")',
    "a table": 'pq.write_table(table, "game_ticks.parquet")',
    "a table by name": 'frame.to_parquet(base / f"{day}_ticks.parquet")',
    "a database": 'sqlite3.connect("recordings.db")',
    "a csv": 'with open("ticks.csv", "w", newline="") as f:\n    csv.writer(f).writerows(ticks)',
    "a folder of parts": 'open(os.path.join("rugs_" + "recordings", name), "w")',
}  # fmt: skip
CLEAN = {
    "reading": 'with open("game_1.jsonl") as file:\n    events = [json.loads(line) for line in file]',
    "reading bytes": 'Path("x.jsonl").open("rb")',
    "settings": 'config_file.write_text(json.dumps(config))\njson.dump(state, open(state_file, "w"))',
    "one document": 'with open(path, "w") as file:\n    file.write(json.dumps(state, indent=2))',
    "settings, indented, beside lines of text": 'with open(p, "w") as f:\n    f.write(json.dumps(s, indent=2))\n'
    'print("x")\ng = open(log, "a")\ng.write(text + "\\n")',
    "settings with their last line's end": 'with open(p, "w") as f:\n    json.dump(s, f, indent=2)\n    f.write("\\n")',
    "settings at once": 'Path(p).write_text(json.dumps(settings) + "\\n")',
    "settings beside lines of text": 'with open(p, "w") as f:\n    f.write(json.dumps(s))\nopen(q, "a").write("x\\n")',
    "reading jsonlines": 'with jsonlines.open(p) as lines:\n    events = list(lines)',
    "reading a table": 'ticks = pd.read_csv("ticks.csv")\nduckdb.connect("recordings.db", read_only=True)',
    "other tables": 'frame.to_csv("report.csv")\nsqlite3.connect("settings.db")\nlogging.FileHandler("app.log")',
    "a report": 'events = [json.loads(line) for line in open("x.jsonl")]\nPath(out).write_text(report(events))',
    "another scope": 'def f():\n    path = "x.jsonl"\n    return read(path)\ndef g(path):\n    open(path, "w")',
    "how many": 'count = len(list(base.glob("*.jsonl")))\nopen(f"{count}.txt", "w")',
    "standard output": 'sys.stdout.write(json.dumps(event) + "\\n")\nprint(json.dumps(event))',
    "a socket": 'writer.write(json.dumps(event).encode() + b"\\n")',
    "texts": 'text = text.replace("a", "b")\nprint("no recordings yet")\nlabel = "recordings"\nurl = "http://x/recordings"',
    "a comment and a docstring": '"""Once in /home/nomad/rugs_recordings."""\n# from core import recorder_sink\nx = 1',
    "the client": 'from rugs_client import Publisher, attach\nattach(bus, Publisher(url, spool_dir=settings.spool))',
    "other names": 'from sound.recorders_of_sound import x\nfrom services import recordings_view',
}  # fmt: skip
OTHER_FAULTS = [
    ("home-path", 'FOLDER = "/home/nomad/x"'),
    ("home-path", 'run(f"/Users/{name}/x")'),
    ("home-path", "x = r'C:\\Users\\me\\x'"),
    ("home-path", 'argv = ["--dir=/home/nomad"]'),
    ("old-folder", 'Path.home() / "rugs_recordings"'),
    ("old-folder", 'x = "~/rugs_recordings"'),
    ("old-folder", 'x = "data/raw_captures/today"'),
    ("old-folder", 'base / "recordings"'),
    ("old-folder", 'os.path.join(base, "recordings", "x")'),
    ("old-folder", 'recordings_dir = "recordings"'),
    ("old-folder", 'def f(folder="recordings"): pass'),
    ("old-folder", "x = 'rag_events'"),
    ("old-folder", 'x = "rugs_" + "recordings"'),
    ("old-folder", 'x = "~/" + "rugs_" + "recordings"'),
    ("old-folder", """x = f"{'rugs_'}recordings" """),
    ("old-folder", 'x = "_".join(["raw", "captures"])'),
    ("old-folder", 'x = os.path.join(base, "record" + "ings")'),
    ("home-path", 'x = "/home/" + "nomad/x"'),
    ("home-path", 'x = "/home/nomad" + "/x"'),
    ("old-setting", 'os.getenv("RUGS_RECORDINGS_DIR")'),
    ("old-recorder", "import core.recorder_sink"),
    ("old-recorder", "from src.services.rag_ingester import RAGIngester as R"),
    ("old-recorder", "from services import recorders"),
    ("old-recorder", "from .unified_recorder import X"),
    ("old-recorder", "from . import demo_recorder"),
    ("old-recorder", "from core import RecorderSink"),
    ("old-recorder", 'importlib.import_module("debug.raw_capture_recorder")'),
    ("old-recorder", "class RawCaptureRecorder: pass"),
]


def found(folder: Path, source: str, name: str = "module.py") -> list[tuple[int, str]]:
    (folder / name).write_text(source)
    report = check(folder)
    assert report.files == 1
    return [(each.line, each.rule) for each in report.findings]


@pytest.mark.parametrize("source", WRITES.values(), ids=WRITES.keys())
def test_a_recording_that_is_written_is_found(tmp_path: Path, source: str) -> None:
    rules = [rule for _, rule in found(tmp_path, source)]
    assert "recording-write" in rules


@pytest.mark.parametrize("source", CLEAN.values(), ids=CLEAN.keys())
def test_what_is_no_fault_is_not_found(tmp_path: Path, source: str) -> None:
    assert found(tmp_path, source) == []


@pytest.mark.parametrize(("rule", "source"), OTHER_FAULTS)
def test_each_other_fault_is_found(tmp_path: Path, rule: str, source: str) -> None:
    assert found(tmp_path, f"import x\n{source}\n") == [(2, rule)]


def test_a_recorder_is_found_line_by_line(tmp_path: Path) -> None:
    assert found(tmp_path, dedent(RAW_CAPTURE_RECORDER), "raw_capture_recorder.py") == [
        (1, "old-recorder"),
        (8, "home-path"),
        (8, "old-folder"),
        (9, "recording-write"),
        (15, "recording-write"),
        (18, "recording-write"),
    ]


@pytest.mark.parametrize(("source", "lines"), [(TICK_SINK, [11, 12]), (GAME_DOCUMENTS, [8, 9, 16, 17])])
def test_recorders_of_other_names_are_found_by_what_they_write(tmp_path: Path, source: str, lines: list[int]) -> None:
    assert found(tmp_path, dedent(source)) == [(line, "recording-write") for line in lines]


@given(
    st.text() | st.lists(st.sampled_from([*WRITES.values(), *CLEAN.values(), "(", "\n", "def f():", "'"])).map("".join)
)
def test_whatever_a_file_holds_it_is_judged(source: str) -> None:
    content = source.encode("utf-8", "surrogatepass")
    with TemporaryDirectory() as folder:
        (Path(folder) / "m.py").write_bytes(content)
        report = check(Path(folder))
    assert report.files == 1
    assert all(each.line >= 1 and each.instead for each in report.findings)


def test_a_text_of_many_parts_is_read(tmp_path: Path) -> None:
    assert found(tmp_path, "x = " + " + ".join(['"~/rugs_"', *['""'] * 2_000, '"recordings"'])) == [(1, "old-folder")]


def test_a_comment_excepts_its_line_and_the_call_that_it_stands_in(tmp_path: Path) -> None:
    source = """\
        open("a.jsonl", "w")  # rugs: allow (a fixture)
        open(
            "b.jsonl",  # rugs: allow
            "w",
        )
        open("c.jsonl", "w", errors="# rugs: allow")
    """
    (tmp_path / "m.py").write_text(dedent(source))
    report = check(tmp_path)
    assert [each.line for each in report.findings] == [6]
    assert report.allowed == 2


@pytest.mark.parametrize(
    "content",
    [b"def f(:\n", b"x = 1\n\0", b"\xff\xfe\xfa", b"x = " + b"(" * 5000, b"print 'x'", b"x = " + b"-" * 200_000 + b"1"],
)
def test_a_file_that_does_not_parse_is_named_and_stops_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.py").write_bytes(content)
    (tmp_path / "b.py").write_text("import rag_ingester")
    findings = check(tmp_path).findings
    assert [(each.file, each.rule) for each in findings] == [("a.py", "unreadable"), ("b.py", "old-recorder")]


def test_what_configures_and_starts_a_program_is_looked_into_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("dir: /home/me/x\nok: 1\nold: ./rugs_recordings\n")
    (tmp_path / "b.sh").write_text("RUGS_AUTO_RECORDING=true run\nrm -r raw_captures  # rugs: allow\n")
    (tmp_path / "c.toml").write_text('main = "core.recorder_sink:main"\n')
    (tmp_path / "Dockerfile").write_text("VOLUME /Users/me\n")
    (tmp_path / "notes.md").write_text("In /home/me/rugs_recordings there was the RAGIngester.\n")
    (tmp_path / "game.jsonl").write_text('{"folder": "/home/me/raw_captures"}\n')
    (tmp_path / "image.bin").write_bytes(b"\0/home/me")
    assert [(each.file, each.line, each.rule) for each in check(tmp_path).findings] == [
        ("Dockerfile", 1, "home-path"),
        ("a.yaml", 1, "home-path"),
        ("a.yaml", 3, "old-folder"),
        ("b.sh", 1, "old-setting"),
        ("c.toml", 1, "old-recorder"),
    ]


def test_scripts_without_an_ending_count_and_folders_of_tools_do_not(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("#!/usr/bin/env python3\nimport rag_ingester\n")
    for name in (".git", "node_modules", ".venv", "env"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("import rag_ingester\n")
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert [(each.file, each.rule) for each in check(tmp_path).findings] == [
        ("run", "old-recorder"),
        ("gone.py", "unreadable"),
    ]


def guard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RUGS, "guard", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
def test_the_command_says_where_what_and_what_instead(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "m.py").write_text('import x\nopen("game.jsonl", "w")\n')
    done = guard(tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}/src/m.py:2: recording-write: writes a recording: open('game.jsonl', 'w')\n" in done.stdout
    assert "instead: publish it: rugs_client" in done.stdout
    told = json.loads(guard(tmp_path, "--json").stdout)
    assert (told["ok"], told["files"], told["allowed"]) == (False, 1, 0)
    (one,) = told["findings"]
    assert (one["file"], one["line"], one["rule"]) == ("src/m.py", 2, "recording-write")
    assert "rugs_client" in one["instead"]


@pytest.mark.slow
def test_the_command_passes_a_clean_tree_and_refuses_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("from rugs_client import Publisher\n")
    done = guard(tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 file: nothing of the old recorders is left\n")
    assert guard(tmp_path / "nowhere").returncode == 2
    assert guard(tmp_path / "m.py").returncode == 2
    assert guard().returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("files", [[], ["README.md"], ["settings.json", "Makefile"]])
def test_the_command_does_not_pass_a_tree_without_source(tmp_path: Path, files: list[str]) -> None:
    """It is the wrong folder."""
    for name in files:
        (tmp_path / name).write_text("{}")
    done = guard(tmp_path)
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert "no Python or JavaScript is among them" in done.stdout
    assert check(tmp_path).as_dict()["ok"] is False


@pytest.mark.slow
def test_looking_through_a_tree_needs_nothing_but_python(tmp_path: Path) -> None:
    script = "import sys; from rugs_guard.check import check; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pyarrow", "duckdb", "msgpack", "pydantic", "structlog", "orjson"} & set(loaded)
