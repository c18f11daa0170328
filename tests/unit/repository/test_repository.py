"""What the repository promises about itself: pins, containers, the broker's settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from rugs_runtime.broker import find_server
from rugs_runtime.stack import SERVICES

ROOT = Path(__file__).resolve().parents[3]
PIN = re.compile(r"^[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.+!]*$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str = "constraints.txt") -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert all(PIN.match(line) for line in lines), "names and versions only: no address, no path"
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def test_every_requirement_is_pinned_and_torch_is_not() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = dict(project["optional-dependencies"])
    assert names_of(extras.pop("sentence-transformers")) <= pins("constraints-torch.txt").keys()
    assert names_of([*project["dependencies"], *(r for extra in extras.values() for r in extra)]) <= pins().keys()
    assert {"setuptools", "wheel"} <= pins().keys()
    assert "torch" not in pins()
    assert pins("constraints-torch.txt")["torch"] == "2.13.0"


def names_of(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[<>=!~;\[ ]", requirement)[0]) for requirement in requirements}


def test_the_client_needs_four_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]}
    assert names == {"nats-py", "msgpack", "pydantic", "structlog"}


@pytest.mark.slow
def test_compose_broker_fsyncs_and_its_configuration_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "deploy/nats.conf").read_text()
    assert re.search(r"sync_interval: always\b", text)
    assert re.search(r"max_payload: 8MB\b", text)
    local = tmp_path / "nats.conf"
    local.write_text(text.replace("/data/", f"{tmp_path}/"))
    subprocess.run([find_server(), "--config", local, "-t"], check=True, capture_output=True, timeout=20)


def test_compose_gives_the_broker_its_own_store_and_no_more_and_a_superseded_writer_does_not_fight_for_ever() -> None:
    text = (ROOT / "compose.yaml").read_text()
    broker = text[text.index("\n  nats:\n") : text.index("\n  parquet-writer:\n")]
    assert "*data" not in broker
    store = re.search(r"store_dir: (\S+)", (ROOT / "deploy/nats.conf").read_text())
    assert store is not None
    assert f"target: {store[1]}\n" in broker
    writer = text[text.index("\n  parquet-writer:\n") : text.index("\n  legacy-importer:\n")]
    assert re.search(r"restart: on-failure:\d+\n", writer)


def test_compose_runs_every_service_of_a_stack_as_its_own_command() -> None:
    text = (ROOT / "compose.yaml").read_text()
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for service in SERVICES:
        assert f"\n  {service.name}:\n" in text
        assert f'command: ["{service.name}"]\n' in text
        assert service.name in commands


def compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            version = subprocess.run([*command, "version"], check=False, capture_output=True)
            if version.returncode == 0:
                return command
    return None


@pytest.mark.slow
def test_compose_file_is_valid_and_binds_to_loopback() -> None:
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    compose = [
        *command,
        "--profile",
        "import",
        "--profile",
        "dual-write",
        "--file",
        str(ROOT / "compose.yaml"),
        "config",
    ]
    config = subprocess.run(compose, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    services = subprocess.run([*compose, "--services"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert set(services.split()) == {"nats", "legacy-importer", *(service.name for service in SERVICES)}
    assert "127.0.0.1" in config
    # Within its container the door is open to the others; on the host it is not.
    assert "0.0.0.0" not in config.replace("RUGS_INGEST_HOST: 0.0.0.0", "")


def test_workflows_may_only_read_and_use_official_actions_of_a_pinned_major_version() -> None:
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        text = workflow.read_text()
        assert re.findall(r"^permissions:\n((?:  .*\n)+)", text, re.MULTILINE) == ["  contents: read\n"]
        assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", used) for used in re.findall(r"uses: (\S+)", text))


def test_every_target_that_is_named_elsewhere_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    paths = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / ".ci").iterdir(),
        *ROOT.glob(".github/*/*.yml"),
    ]
    for path in paths:
        named = set(re.findall(r"(?:^|[`&] *|run: )make ([a-z-]+)", path.read_text(), re.MULTILINE))
        assert named <= targets, path


def test_the_license_is_the_same_in_the_package_and_the_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (ROOT / "LICENSE").read_text()
    assert "LICENSE" in (ROOT / "Dockerfile").read_text(), "the package cannot be built without it"
