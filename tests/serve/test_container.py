"""The container's files name what exists, as far as that can be tested without Docker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seriatim.serve.options import PREFIX, ServeOptions, read_environment

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_what_is_copied_exists_and_is_not_ignored():
    copied = [name for line in re.findall(r"^COPY ([^-].*) \S+$", DOCKERFILE, re.M) for name in line.split()]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {"src", "native", "pyproject.toml"} <= set(copied)
    assert all((ROOT / name).exists() and f"!{name}" in ignored for name in copied)


def test_the_server_does_not_run_as_root_and_says_whether_it_is_ready():
    assert re.search(r"^USER seriatim$", DOCKERFILE, re.M) and "/readyz" in DOCKERFILE
    assert "[serve]" in DOCKERFILE and "torch" not in re.sub(r"^#.*$", "", DOCKERFILE, flags=re.M)


def test_variables_are_options_and_need_a_key():
    text = DOCKERFILE + (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert {name.lower() for name in re.findall(rf"{PREFIX}(\w+)", text)} <= set(vars(ServeOptions()))
    environment = dict(re.findall(rf"({PREFIX}\w+)=(\S+)", re.search(r"^ENV (.*)$", DOCKERFILE, re.M)[1]))
    options = ServeOptions(**read_environment(environment))
    with pytest.raises(Exception, match="--api-key"):
        options.check()


def test_compose_shares_a_redis_that_keeps_every_write():
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    command = " ".join(services["redis"]["command"])
    for setting in ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert setting in command
    assert services["first"]["environment"] == services["second"]["environment"]
    assert services["first"]["environment"]["SERIATIM_STATE"] == "redis://redis:6379/0"
