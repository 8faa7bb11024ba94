"""Tiny runs, each trained once per session, and their exported models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import seriatim
from runtime_data import CASES, NAIVE
from runtime_settings import SETTINGS, TEXT
from seriatim import runtime

Pair = tuple[seriatim.Run, runtime.Model]
Pairs = Callable[[str], Pair]


@pytest.fixture(scope="session")
def language_pair(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """A function from a name of ``SETTINGS`` to a run and its exported model."""
    made: dict[str, Pair] = {}

    def pair(name: str) -> Pair:
        if name not in made:
            folder = tmp_path_factory.mktemp("language")
            settings = SETTINGS[name]
            epochs = None if settings["model"] in ("markov", "unigram") else 1
            run = seriatim.train(
                "language", TEXT, out=str(folder / "run"), epochs=epochs, quiet=True, baselines="none", **settings
            )
            run.export(folder / "exported")
            made[name] = run, runtime.load(folder / "exported")
        return made[name]

    return pair


@pytest.fixture
def exported(language_pair: Pairs) -> Path:
    """The folder of an exported LSTM."""
    return language_pair("lstm")[1].path


@pytest.fixture(scope="session")
def task_pair(tmp_path_factory: pytest.TempPathFactory) -> Pairs:
    """A function from a name of ``CASES`` to a run and its exported model."""
    made: dict[str, Pair] = {}

    def pair(name: str) -> Pair:
        if name not in made:
            folder = tmp_path_factory.mktemp("task")
            task, data, options = CASES[name]
            epochs = None if options["model"] in NAIVE else 2
            run = seriatim.train(
                task, data, out=str(folder / "run"), epochs=epochs, quiet=True, baselines="none", **options
            )
            run.export(folder / "exported")
            made[name] = run, runtime.load(folder / "exported")
        return made[name]

    return pair
