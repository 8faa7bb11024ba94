"""Runs on the Hugging Face hub, against a stand-in server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seriatim
from hub_server import Hub, running_hub
from seriatim.errors import RunError

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")
TINY: Any = {"hidden": 4, "epochs": 1, "baselines": "fast", "quiet": True}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    with running_hub() as hub:
        yield hub


@pytest.fixture
def run(tmp_path: Path) -> seriatim.Run:
    file = tmp_path / "secret-folder" / "messages.csv"
    file.parent.mkdir()
    rows = "".join(f"the {thing} is {label},{label}\n" for thing, label in [("sun", "warm"), ("sea", "cold")] * 20)
    file.write_text("text,label\n" + rows)
    return seriatim.train("classify", file, text="text", label="label", out=tmp_path / "run", **TINY)


def test_run_goes_to_the_hub_and_back(run: seriatim.Run, hub: Hub) -> None:
    url = run.push_to_hub("me/messages", license="mit", token="hf_x", endpoint=hub.endpoint)
    assert url.startswith(f"{hub.endpoint}/me/messages/commit/") and hub.tokens[0] == "Bearer hf_x"
    names = set(hub.files("me/messages"))
    assert {"README.md", "config.json", "model.safetensors", "result.json", "vocabulary.json"} <= names
    assert not [name for name in names if name.startswith(("checkpoint", "."))]
    opened = seriatim.Run.from_pretrained("me/messages", token="hf_x", endpoint=hub.endpoint)
    texts = ["the sun is warm", "the sea"]
    assert list(opened.predict(texts)) == list(run.predict(texts))
    assert opened.result["scores"] == run.result["scores"]


def test_paths_of_this_machine_stay_here(run: seriatim.Run, hub: Hub) -> None:
    run.push_to_hub("me/messages", token="hf_x", endpoint=hub.endpoint)
    content = b"".join(hub.files("me/messages").values())
    assert b"secret-folder" not in content and str(run.path.parent).encode() not in content


def test_card_has_the_scores(run: seriatim.Run, hub: Hub, tmp_path: Path) -> None:
    run.push_to_hub("me/messages", license="mit", token="hf_x", endpoint=hub.endpoint)
    (tmp_path / "README.md").write_bytes(hub.files("me/messages")["README.md"])
    card = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    data = card.data
    assert (data.library_name, data.license, data.pipeline_tag) == ("seriatim", "mit", "text-classification")
    best = run.result.get("best")
    scores = (
        run.result["blend"]["scores"]
        if best == "blend"
        else {"lstm": run.result["scores"], **run.result["baselines"]}[best]
    )
    assert {result.metric_type: result.metric_value for result in data.eval_results} == scores
    assert data.eval_results[0].dataset_name == "messages.csv"
    assert "majority" in card.text and "from_pretrained" in card.text and "macro_f1" in card.text


def test_card_of_other_tasks(tmp_path: Path, hub: Hub) -> None:
    waves = np.sin(np.arange(80) / 3)
    run = seriatim.train(
        "forecast", waves, model="naive", horizon=3, out=tmp_path / "run", baselines="none", quiet=True
    )
    run.push_to_hub("me/waves", token="hf_x", endpoint=hub.endpoint)
    card = hub.files("me/waves")["README.md"].decode()
    assert 'pipeline_tag: "time-series-forecasting"' in card and "data in memory" in card


def test_failures_name_the_repository(run: seriatim.Run, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="me/none: cannot be downloaded"):
        seriatim.Run.from_pretrained("me/none", token="hf_x", endpoint=hub.endpoint)
    with pytest.raises(RunError, match="me/messages: cannot be pushed"):
        run.push_to_hub("me/messages", token="hf_x", endpoint="http://127.0.0.1:9")
    hub.commits["me/other"] = [{"config.json": json.dumps({"format": 1}).encode()}]
    with pytest.raises(RunError, match="damaged"):
        seriatim.Run.from_pretrained("me/other", token="hf_x", endpoint=hub.endpoint)
