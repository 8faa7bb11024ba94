"""A search whose study is in PostgreSQL: two processes share its trials, and a killed one loses nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

pytest.importorskip("psycopg", reason="wants psycopg, the driver of postgresql:// addresses")

DATA = (["the sun is warm", "the sea is cold", "the fire is warm", "the ice is cold"] * 15, ["w", "c", "w", "c"] * 15)
OPTIONS: dict[str, Any] = {"model": "gru", "epochs": 40, "batch_size": 1, "baselines": "fast", "quiet": True}
SPACE = {"hidden": "2..8", "lr": "1e-3..1e-1:log"}
PROGRAM = f"""
import sys, seriatim
seriatim.tune.search("classify", {DATA!r}, {SPACE!r}, out=sys.argv[1], storage=sys.argv[2], trials=4, **{OPTIONS!r})
"""
COMPLETE, PRUNED = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


def programs() -> Path | None:
    """The folder with PostgreSQL's programs."""
    for folder in (shutil.which("initdb"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        if folder is not None:
            return Path(folder).resolve().parent
    return None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a database on a server of its own."""
    folder = programs()
    if folder is None:
        pytest.skip("wants PostgreSQL's initdb and pg_ctl")
    user = "postgres" if os.getuid() == 0 else None  # the server refuses to run as root
    home = Path(tempfile.mkdtemp())
    if user:
        shutil.chown(home, user)

    def run(*command: str | Path) -> None:
        subprocess.run(command, check=True, user=user, cwd=home, stdout=subprocess.DEVNULL, timeout=100)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run(folder / "initdb", "-D", home / "data", "-A", "trust", "-U", "studies")
    settings = f"-p {port} -k {home} -c listen_addresses=127.0.0.1"
    run(folder / "pg_ctl", "-D", home / "data", "-o", settings, "-l", home / "log", "-w", "start")
    try:
        yield f"postgresql://studies@127.0.0.1:{port}/postgres"
    finally:
        run(folder / "pg_ctl", "-D", home / "data", "-m", "fast", "-w", "stop")
        shutil.rmtree(home, ignore_errors=True)


def test_two_processes_share_the_trials_and_go_on_with_killed_ones(server: str, tmp_path: Path) -> None:
    """Both begin with an empty database at once. The first is killed while it trains."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "s"), server]
    first, second = subprocess.Popen(command), subprocess.Popen(command)
    deadline = time.monotonic() + 200
    while not list((tmp_path / "s").glob("trials/*/checkpoint/state.safetensors")):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert second.wait(timeout=300) == 0
    assert subprocess.run(command, timeout=300).returncode == 0  # the search is finished
    assert (tmp_path / "s" / "best" / "result.json").exists()
    storage = optuna.storages.RDBStorage(server)
    try:
        trials = optuna.load_study(study_name="s", storage=storage).trials
    finally:
        storage.remove_session()
        storage.engine.dispose()
    assert len(trials) == 4 and {trial.state for trial in trials} <= {COMPLETE, PRUNED}
    assert len({str(trial.params) for trial in trials}) == 4
