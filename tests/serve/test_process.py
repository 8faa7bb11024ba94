"""The server as a process: started by the command line, killed, stopped, and given another model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from seriatim.cli.app import run as run_command

from .conftest import GOLDEN, LANGUAGE, RedisServer
from .test_sessions import answers_alone, best

TEXT = "to be or not to be"


class Process:
    """``seriatim serve`` with its address."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "seriatim", "serve", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | (environment or {}),
        )  # fmt: skip
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if " at http" not in line:
            raise RuntimeError(line + self._process.communicate()[1])
        self.url = line.split(" at ")[1].split()[0]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def next_error_with(self, text: str) -> str:
        """Wait for a line of standard error that contains ``text``; an empty string if the process ends without it."""
        assert self._process.stderr is not None
        return next((line for line in self._process.stderr if text in line), "")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; return the exit code and standard error."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        errors = self._process.communicate(timeout=60)[1]
        return self._process.returncode, errors


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """A function that starts the command with a free port."""
    started: list[Process] = []

    def start(folder: Path, *options: str, **keywords: Any) -> Process:
        started.append(Process(str(folder), "--port", "0", *options, **keywords))
        return started[-1]

    yield start
    for process in started:
        process.end(signal.SIGKILL)


def step(client: httpx.Client, name: str, seq: int, x: str) -> Any:
    return client.post(f"/v1/sessions/{name}/steps", json={"seq": seq, "x": x})


def test_an_acknowledged_step_survives_kill_9(start, tmp_path, language_model):
    state, answers = str(tmp_path / "s.db"), []
    for part in range(3):
        process = start(LANGUAGE, "--state", state)
        with process.client() as client:
            if part == 0:
                client.post("/v1/sessions", json={"id": "a", "seed": 1})
            else:
                assert step(client, "a", len(answers), TEXT[len(answers) - 1]).json() == answers[-1]
            for _ in range(4):
                answers.append(step(client, "a", len(answers) + 1, TEXT[len(answers)]).json())
        process.end(signal.SIGKILL)
    assert [best(answer) for answer in answers] == answers_alone(language_model, TEXT[:12], 1)


def test_sigterm_finishes_open_requests(start, tmp_path):
    process = start(LANGUAGE, "--state", str(tmp_path / "s.db"))
    body = {"prompt": "to", "max_tokens": 3000, "stream": True}
    with process.client() as client, client.stream("POST", "/v1/completions", json=body) as response:
        lines = response.iter_lines()
        next(lines)
        process.send(signal.SIGTERM)
        assert [line for line in lines if line][-1] == "data: [DONE]"
    code, errors = process.end()
    assert code == 0 and errors == ""
    assert not (tmp_path / "s.db-wal").exists()  # the state file is whole


def test_ctrl_c_ends_the_server(start):
    code, errors = start(LANGUAGE, "--durability", "memory").end(signal.SIGINT)
    assert (code, errors) == (130, "seriatim: interrupted\n")


def test_sighup_reads_the_model_again(start, tmp_path, language_model):
    folder = tmp_path / "model"
    shutil.copytree(LANGUAGE, folder)
    process = start(folder)
    with process.client() as client:
        first = client.get("/v1/models").json()["data"][0]["id"]
        client.post("/v1/sessions", json={"id": "a", "seed": 1})
        step(client, "a", 1, "t")
        shutil.rmtree(folder)
        shutil.copytree(GOLDEN / "language-highway", folder)
        process.send(signal.SIGHUP)
        for _ in range(600):
            listed = client.get("/v1/models").json()["data"]
            if len(listed) == 2:
                break
            time.sleep(0.05)
        assert listed[0]["id"] != first and listed[1]["id"] == first and listed[1]["draining"]
        assert best(step(client, "a", 2, "o").json()) == answers_alone(language_model, "to", 1)[-1]
        (folder / "model.json").write_text("{")
        process.send(signal.SIGHUP)
        assert process.next_error_with("the model was not read again")
        assert client.get("/v1/models").json()["data"][0] == listed[0]
    assert process.end()[0] == 0
    assert (tmp_path / "model.sessions.db").exists()


def test_two_servers_share_redis(start, start_redis, language_model):
    redis: RedisServer = start_redis()
    servers = [start(LANGUAGE, "--state", redis.url) for _ in range(2)]
    clients = [server.client() for server in servers]
    clients[0].post("/v1/sessions", json={"id": "a", "seed": 1})
    answers = [step(clients[seq % 2], "a", seq, unit).json() for seq, unit in enumerate("to be", 1)]
    assert [best(answer) for answer in answers] == answers_alone(language_model, "to be", 1)
    redis.kill()
    refused = step(clients[0], "a", 6, "x")
    assert refused.status_code == 503 and refused.headers["retry-after"]
    assert clients[0].get("/readyz").status_code == 503 and clients[0].get("/healthz").status_code == 200
    redis.start()
    assert step(clients[1], "a", 5, "e").json() == answers[-1]
    assert step(clients[0], "a", 6, "x").json()["seq"] == 6
    for client in clients:
        client.close()


def test_options_come_from_the_environment_and_the_command_line_wins(start, tmp_path):
    environment = {"SERIATIM_DURABILITY": "memory", "SERIATIM_MAX_SESSIONS": "1", "SERIATIM_API_KEY": "k" * 16}
    process = start(LANGUAGE, "--max-sessions", "2", environment=environment)
    with process.client() as client:
        assert client.post("/v1/sessions", json={}).status_code == 401
        client.headers["authorization"] = "Bearer " + "k" * 16
        statuses = [client.post("/v1/sessions", json={}).status_code for _ in range(3)]
        assert statuses == [201, 201, 503]
        assert "memory" in client.get("/readyz").json()["warnings"][0]


@pytest.mark.slow
def test_a_run_is_exported_and_served(start, tmp_path):
    import seriatim

    run = seriatim.train(
        "language", [TEXT * 40], model="gru", hidden=8, epochs=1, quiet=True, out=str(tmp_path / "run")
    )
    process = start(tmp_path / "run", "--use", "network")
    with process.client() as client:
        text = client.post("/v1/generate", json={"prompt": "to", "length": 20, "seed": 1}).json()["text"]
    assert text == "".join(run.generate("to", length=20, seed=1, use="network"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing"], 1, "missing"),
        ([str(LANGUAGE), "--host", "0.0.0.0"], 2, "--api-key"),
        ([str(LANGUAGE), "--port", "x"], 2, "--port: got 'x'"),
        ([str(LANGUAGE), "--durability", "some"], 2, "--durability: 'some' is not one of full, normal, memory"),
        ([str(LANGUAGE), "--use", "network"], 2, "--use: for run folders"),
        ([str(LANGUAGE), "--state", "/nowhere/s.db"], 1, "state: /nowhere/s.db cannot be used"),
        ([str(LANGUAGE), "--state", "redis://127.0.0.1:1"], 1, "state: Redis cannot be used"),
    ],
)
def test_wrong_usage_is_one_line(arguments, code, message, capsys):
    assert run_command(["serve", *arguments]) == code
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_port_in_use(start, tmp_path):
    first = start(LANGUAGE, "--durability", "memory")
    port = first.url.rpartition(":")[2]
    arguments = [sys.executable, "-m", "seriatim", "serve", str(LANGUAGE), "--port", port, "--durability", "memory"]
    process = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert process.returncode == 1 and f"port: {port}" in process.stderr and "Traceback" not in process.stderr


def test_the_server_imports_nothing_of_training(start, tmp_path):
    code = (
        "import json, sys; from seriatim.serve import app, server; from seriatim.cli import serve;"
        "print(json.dumps([name for name in ('torch', 'polars', 'pandas', 'redis') if name in sys.modules]))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(output) == []
