"""The tables of the recipes' results: network, blend and best simple model, how often each wins, published figures.

    python recipes/report.py [recipes/results.jsonl]     print the tables in Markdown

``reproduce.py`` appends a line to the file for each run; ``reproduce.py --list`` prints the commands. Runs of a recipe
with several seeds become one row with their means. Recipes that have no run in the file are named below the table. The
runs count as equal if they differ by no more than the noise: one standard deviation over the seeds, and at least one
percent of the score, less than the sampling error of most of these test parts.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from networks import NETWORKS
from published import SAME_DATA
from table import RECIPES

RESULTS = Path(__file__).with_name("results.jsonl")
HIGHER_IS_BETTER = ("accuracy", "macro_f1", "entity_f1", "bleu", "chrf", "exact_match")
SMALLEST_NOISE = 0.01
"""As a share of the score."""


@dataclass(frozen=True)
class Row:
    """The mean scores of one recipe over its seeds."""

    recipe: str
    score: str
    seeds: int
    network: float
    used: float
    """The score of the model that the run uses: the blend, the network or a baseline, as validation chose."""
    used_name: str
    simple: float | None
    """The score of the best simple model on the test part; None if the recipe has none."""
    simple_name: str
    simple_limit: str
    """The part of the work that a time limit allowed the best simple model; empty if it was all."""
    noise: float
    parameters: int
    seconds: float
    hash: str
    date: str
    """The day of the last of the runs; a dash for a run that was written down before the file had days."""

    @property
    def network_wins(self) -> bool:
        """Whether the network alone is better than every simple model."""
        return self.simple is not None and self._is_better(self.network, self.simple)

    @property
    def used_is_best(self) -> bool:
        """Whether the model that the run uses is the best one, or within the noise of it."""
        rivals = [self.network] if self.simple is None else [self.network, self.simple]
        return not any(self._is_better(rival, self.used, self.noise) for rival in rivals)

    def _is_better(self, score: float, other: float, noise: float = 0.0) -> bool:
        return score > other + noise if self.score in HIGHER_IS_BETTER else score < other - noise


def read(file: Path) -> list[Row]:
    """Return a row for each recipe in ``file``, in the order of their first runs. A repeated run replaces the first."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        runs.setdefault(run["recipe"], {})[run["seed"]] = run
    return [summary(list(seeds.values())) for seeds in runs.values()]


def summary(runs: Sequence[dict[str, Any]]) -> Row:
    """Return the row of one recipe from its runs."""
    first = runs[0]
    used = [_used(run) for run in runs]
    mean = {name: statistics.fmean(run["baselines"][name] for run in runs) for name in first["baselines"]}
    choose = max if first["score"] in HIGHER_IS_BETTER else min
    simple_name = choose(mean, key=lambda name: mean[name]) if mean else ""
    network, used_mean = statistics.fmean(run["network"] for run in runs), statistics.fmean(used)
    spread = statistics.stdev(used) if len(runs) > 1 else 0.0
    names = sorted({run["best"] for run in runs})
    return Row(
        recipe=first["recipe"],
        score=first["score"],
        seeds=len(runs),
        network=network,
        used=used_mean,
        used_name=" or ".join(names),
        simple=mean[simple_name] if mean else None,
        simple_name=simple_name,
        simple_limit=next((run["limited"][simple_name] for run in runs if simple_name in run.get("limited", {})), ""),
        noise=max(spread, SMALLEST_NOISE * abs(used_mean)),
        parameters=first["parameters"],
        seconds=statistics.fmean(run["seconds"] for run in runs),
        hash=first["hash"],
        date=max(run.get("date", "–") for run in runs),
    )


def _used(run: dict[str, Any]) -> float:
    """Return the score of the model that a run uses."""
    scores = {run["model"]: run["network"], "blend": run["blend"], **run["baselines"]}
    return float(scores[run["best"]])


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, with the counts and the recipes that have no row below it."""
    bands = {recipe.name: f"{recipe.band[0]:g} to {recipe.band[1]:g}" for recipe in RECIPES}
    lines = [
        "| recipe | score | seeds | network | band | the run uses | best simple model | network wins | used is best "
        "| data | date |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        limit = f" ({row.simple_limit})" if row.simple_limit else ""
        simple = f"{row.simple_name} {row.simple:.4g}{limit}" if row.simple is not None else "–"
        wins = "–" if row.simple is None else "yes" if row.network_wins else "no"
        best = "yes" if row.used_is_best else "no"
        lines.append(
            f"| {row.recipe} | {row.score} | {row.seeds} | {row.network:.4g} | {bands.get(row.recipe, '–')} "
            f"| {row.used_name} {row.used:.4g} | {simple} | {wins} | {best} | {row.hash} | {row.date} |"
        )
    compared = [row for row in rows if row.simple is not None]
    won, best = sum(row.network_wins for row in compared), sum(row.used_is_best for row in compared)
    missing = [name for name in bands if name not in {row.recipe for row in rows}]
    lines += [
        "",
        f"The network alone beats every simple model in {won} of {len(compared)} rows. What the run uses is best or "
        f"within the noise in {best} of {len(compared)}.",
        "",
        f"Recipes without a run in this table: {', '.join(missing) or 'none'}.",
    ]
    return "\n".join(lines)


def published_table(rows: Sequence[Row]) -> str:
    """Return the scores of the recipes that have published figures beside them, as a Markdown table."""
    known = {row.recipe: row for row in rows}
    lines = ["| recipe | score | network | the run uses | published |", "|---|---|---|---|---|"]
    for recipe in RECIPES:
        published = recipe.published or SAME_DATA.get(recipe.name)
        if published and (row := known.get(recipe.name)):
            used = f"{row.used_name} {row.used:.4g}"
            lines.append(f"| {row.recipe} | {row.score} | {row.network:.4g} | {used} | {published} |")
        elif published:
            lines.append(f"| {recipe.name} | {recipe.score} | not run | – | {published} |")
    return "\n".join(lines)


def networks_table(rows: Sequence[Row]) -> str:
    """Return the scores of the recipes ``DATA-MODEL`` as a Markdown table: a row for the data, a column for the model.

    Below a score are the parameters and the seconds of the run.
    """
    known = {row.recipe: row for row in rows}
    models = list(dict.fromkeys(recipe.name.rpartition("-")[2] for recipe in NETWORKS))
    lines = [f"| data | score | {' | '.join(models)} |", f"|---|---|{'---|' * len(models)}"]
    for data in dict.fromkeys(recipe.name.rpartition("-")[0] for recipe in NETWORKS):
        of_models = [known.get(f"{data}-{model}") for model in models]
        score = next((row.score for row in of_models if row), "")
        scores = [f"{row.network:.4g}" if row else "–" for row in of_models]
        sizes = [f"{row.parameters:,}; {row.seconds:.0f} s" if row else "" for row in of_models]
        lines += [f"| {data} | {score} | {' | '.join(scores)} |", f"| | | {' | '.join(sizes)} |"]
    return "\n".join(lines)


def main() -> None:
    """Print the tables of a file of results."""
    rows = read(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
    print(table(rows))
    print(f"\n{published_table(rows)}\n\n{networks_table(rows)}")


if __name__ == "__main__":
    main()
