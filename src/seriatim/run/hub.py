"""Runs on the Hugging Face hub: a run folder is the content of a repository, with a card beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seriatim.errors import MissingExtra, RunError
from seriatim.run.card import data_name, write_card
from seriatim.run.described import DescribedRun
from seriatim.run.folder import ONLY_FOR_TRAINING, read_config
from seriatim.storage import read_json


def push(
    run: DescribedRun, repo_id: str, private: bool, license: str | None, token: str | None, endpoint: str | None
) -> str:
    """Upload ``run`` in one commit, and return its URL; see ``Run.push_to_hub``."""
    hub = _library("Run.push_to_hub")
    card = write_card(run, repo_id, license, data_name(read_config(run.path)["data"]["source"]))
    operations = [hub.CommitOperationAdd("README.md", card.encode())]
    operations += [hub.CommitOperationAdd(name, content) for name, content in _files(run.path)]
    api = hub.HfApi(endpoint=endpoint, token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        commit = api.create_commit(repo_id, operations, commit_message=f"Seriatim run: {run.task}, {run.model}")
    except Exception as error:  # of the HTTP client, which differs between versions of the library
        raise RunError(f"{repo_id}: cannot be pushed ({_first_line(error)})") from error
    return str(commit.commit_url)


def download(repo_id: str, revision: str | None, token: str | None, endpoint: str | None) -> Path:
    """Download a repository, or find it in the cache, and return its folder."""
    hub = _library("Run.from_pretrained")
    try:
        folder = hub.snapshot_download(repo_id, revision=revision, token=token, endpoint=endpoint)
    except Exception as error:  # as above
        raise RunError(f"{repo_id}: cannot be downloaded ({_first_line(error)})") from error
    return Path(folder)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of a run, without the paths of this machine."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if not file.is_file() or not set(ONLY_FOR_TRAINING).isdisjoint(name.split("/")) or file.name.startswith("."):
            continue
        content = file.read_bytes()
        if name == "config.json":
            config = read_json(file)
            options = {**config["options"], "valid": None, "test": None}
            content = _json({**config, "options": options, "data": {**config["data"], "source": None}})
        elif name == "result.json":
            content = _json({**read_json(file), "run": folder.name})
        yield name, content


def _json(content: object) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _library(work: str) -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise MissingExtra(work, "huggingface") from error
    return huggingface_hub
