"""The blend of a run: the mixture of its network and its baselines.

``blend.json`` has the form and the weights of the mixture. The members are the run's own models.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seriatim.learning.observer import Observer
from seriatim.run.opened import Opened, finite_scores
from seriatim.storage import write_json
from seriatim.tasks.common.blend import Blend, Choice, Member
from seriatim.tasks.options.blending import BLEND
from seriatim.tasks.task import PreparedData, Task

FILE = "blend.json"


def choose(
    task: Task[Any, Any, Any],
    network: Member,
    baselines: Mapping[str, Member],
    data: PreparedData[Any, Any],
    folder: Path,
    observer: Observer,
) -> dict[str, Any]:
    """Choose between the network, the baselines and their blend on the validation part, and save the blend.

    Returns the keys ``blend`` and ``best`` of a result.
    """
    name = network.options.model
    if network.options.blend == "none" or not baselines or not isinstance(network.model, torch.nn.Module):
        return {"blend": None, "best": name}
    members = {name: network, **baselines}
    with np.errstate(over="ignore", invalid="ignore"):
        choice = task.choose(members, data.codec, data.valid)
    if choice is None:
        return {"blend": None, "best": name}
    if choice.note:
        observer.note(choice.note)
    if choice.weights is None:
        return {"blend": None, "best": choice.best}
    content = choice.to_json()
    write_json(folder / FILE, content)
    scores = finite_scores(task, Blend.of(content, members), network.options, data.codec, data.test)
    return {"blend": {"parts": rounded_parts(choice), "scores": scores}, "best": BLEND}


def choose_again(run: Opened, data: PreparedData[Any, Any], scored_part: object, folder: Path) -> dict[str, Any]:
    """Choose again after the network of ``run`` has changed, on the validation part of ``data``. Saves in ``folder``.

    The weights stay if the part has too few rows to fit new ones. Returns the keys ``blend`` and ``best`` of a result,
    with scores on ``scored_part``, or nothing if the run has none.
    """
    if "blend" not in run.result:
        return {}
    baselines = run.baselines()
    if run.options.blend == "none" or not baselines:
        return {"blend": None, "best": run.options.model}
    members = {run.options.model: Member(run.network, run.options), **baselines}
    with np.errstate(over="ignore", invalid="ignore"):
        choice = run.task.choose(members, run.codec, data.valid)
    if choice is None or choice.note:
        return {"blend": blend_scores(run, scored_part), "best": run.best}
    if choice.weights is None:
        (folder / FILE).unlink(missing_ok=True)
        return {"blend": None, "best": choice.best}
    content = choice.to_json()
    write_json(folder / FILE, content)
    scores = finite_scores(run.task, Blend.of(content, members), run.options, run.codec, scored_part)
    return {"blend": {"parts": rounded_parts(choice), "scores": scores}, "best": BLEND}


def rounded_parts(choice: Choice) -> dict[str, float]:
    """Return the mean weight of each model, with four digits."""
    return {name: round(weight, 4) for name, weight in choice.parts.items()}


def blend_scores(run: Opened, part: object) -> dict[str, Any] | None:
    """Score the blend of ``run`` on an encoded part, as the key ``blend`` of a result.

    None if there is no blend, and if the file of one of its baselines is gone.
    """
    stored = run.result.get("blend")
    names = {run.options.model, *run.baselines()}
    if stored is None or not names.issuperset(stored["parts"]):
        return None
    return {"parts": stored["parts"], "scores": finite_scores(run.task, run.blend, run.options, run.codec, part)}
