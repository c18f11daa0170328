"""The ground floor: times, durable files, and waiting for a commit that is built on it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rugs_core.files import fsync_folder, make_folder, replacing, sha256_of, write_durably
from rugs_core.locks import try_lock
from rugs_core.time import DAY_US, date_of, from_us, now_us, to_us

MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(MOMENTS, st.integers(-14, 14))
def test_times_convert_without_loss(moment: datetime, hours: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(hours=hours)))
    assert to_us(elsewhere) == to_us(moment)
    assert from_us(to_us(moment)) == moment
    assert date_of(to_us(moment)) == moment.date()
    assert to_us(moment + timedelta(days=1)) - to_us(moment) == DAY_US


def test_now_is_now() -> None:
    assert abs(datetime.now(UTC) - from_us(now_us())) < timedelta(seconds=5)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_folder(folder)
    target = folder / "file"
    write_durably(target, b"old")
    with pytest.raises(TypeError), replacing(target) as file:
        file.writelines([b"new, by half", None])  # type: ignore[list-item]
    assert (target.read_bytes(), [*folder.iterdir()]) == (b"old", [target])
    with replacing(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    fsync_folder(folder)
    assert (target.read_bytes(), [*folder.iterdir()]) == (b"new", [target])
    assert sha256_of(target) == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"


def test_a_lock_keeps_others_out_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as one, path.open("a") as other:
        assert try_lock(one, shared=True)
        assert try_lock(other, shared=True)
        assert not try_lock(one)
    with path.open("a") as one, path.open("a") as other:
        assert try_lock(one)
        assert not try_lock(other)
        one.close()
        assert try_lock(other.fileno())


@pytest.mark.slow
def test_the_ground_floor_needs_the_standard_library_alone() -> None:
    libs = Path(__file__).parents[3] / "libs"
    names = sorted(path.stem for path in (libs / "rugs_core").glob("*.py"))
    program = f"import sys; sys.path.insert(0, {str(libs)!r})\n" + "\n".join(
        f"import rugs_core.{name}" for name in names
    )
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
