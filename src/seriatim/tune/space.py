"""The space of a search: which options are tried, and from which values.

64..512            a range of whole numbers, both ends included (of real numbers, if the option takes them)
1e-4..1e-2:log     a range in which each factor is equally probable
0..0.5:step=0.1    a range in steps
lstm,gru           a list
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from seriatim.errors import UsageError, nearest
from seriatim.run.task_options import check_option, task_options

if TYPE_CHECKING:
    import optuna

Value = str | int | float | bool

NOT_TRIED = (
    "out", "resume", "quiet", "log", "threads", "checkpoint_every", "seed", "valid", "test", "baselines", "blend",
    "ensemble", "header",
)  # fmt: skip
"""Options that do not change what the network learns."""
INCOMPARABLE = (
    "unit", "vocab_size", "lowercase", "documents", "target", "target_cap", "label", "text", "sound", "channels", "id",
    "time", "date_format", "group", "drop_duplicates", "covariates", "horizon", "season", "origins", "valid_windows",
    "split", "missing", "strategy", "every_step", "column", "words", "source", "source_file", "target_file", "image",
    "features",
)  # fmt: skip
"""Options that change the data or the measure, so that the validation scores of two values do not compare."""

_COMMON = {"lr": "5e-4..1e-2:log", "hidden": "32..256:log", "layers": "1..2", "dropout": "0..0.5"}
_SPACES: Mapping[str, Mapping[str, str]] = {
    "language": {"model": "lstm,gru", **_COMMON, "hidden": "128..512:log", "batch_size": "16,32,64"},
    "classify": {"model": "lstm,gru", **_COMMON, "bidirectional": "true,false", "pool": "last,mean,max"},
    "regress": {"model": "lstm,gru", **_COMMON, "bidirectional": "true,false", "pool": "last,mean,max"},
    "forecast": {"model": "lstm,gru,mlp", **_COMMON, "hidden": "16..128:log", "batch_size": "16,32,64"},
    "tag": {**_COMMON, "hidden": "64..256:log", "word_dropout": "0..0.3"},
    "translate": {"model": "lstm,gru", **_COMMON, "hidden": "128..512:log"},
    "caption": {"model": "lstm,gru", **_COMMON, "hidden": "128..512:log"},
}


@dataclass(frozen=True)
class Parameter:
    """One option that is tried: a range from ``low`` to ``high``, or a list of ``choices``."""

    name: str
    text: str
    """The values as they were typed."""
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    is_whole: bool = False
    is_log: bool = False
    step: float | None = None

    def suggest(self, trial: optuna.Trial) -> Value:
        """Return the value of a trial, which Optuna chooses at the first call."""
        if self.choices:
            choice: Any = trial.suggest_categorical(self.name, list(self.choices))
            return cast(Value, choice)
        if self.is_whole:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.is_log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.is_log)


def default_space(task: str) -> Mapping[str, str]:
    """Return the space of ``task`` that is searched if none is passed. Raises ``UsageError`` for an unknown task.

    >>> import seriatim.tune
    >>> seriatim.tune.default_space("tag")["lr"]
    '5e-4..1e-2:log'
    """
    task_options(task)
    return _SPACES[task]


def read_space(task: str, space: Mapping[str, object]) -> list[Parameter]:
    """Read and check a space. Raises ``UsageError`` that names the option, also for values that ``train`` refuses."""
    if not space:
        raise UsageError("try: no option to try; give at least one, as hidden=64..512")
    return [_read(task, name, values) for name, values in space.items()]


def _read(task: str, name: str, values: object) -> Parameter:
    options = task_options(task)
    allowed = [option for option in options if option not in (*NOT_TRIED, *INCOMPARABLE)]
    if name in INCOMPARABLE and name in options:
        raise UsageError(f"try: {name} changes the data or the measure, so its trials do not compare; fix it instead")
    if name not in allowed:
        raise UsageError(f"try: no option '{name}' to try{nearest(name, allowed)}")
    text = ",".join(map(str, values)) if isinstance(values, (list, tuple)) else str(values).strip()
    match = re.fullmatch(r"(?P<low>[^:,]+?)\.\.(?P<high>[^:,]+?)(?::(?P<form>.*))?", text)
    return _range(task, name, text, match) if match else _choices(task, name, text)


def _choices(task: str, name: str, text: str) -> Parameter:
    refusal = f"try: {name}: got '{text}', wanted different values separated by commas, or a range as 1..5"
    parts = [part.strip() for part in text.split(",")]
    if "" in parts:
        raise UsageError(refusal)
    values = [_plain(check_option(task, name, _typed(task, name, part)), part) for part in parts]
    if len(set(values)) < len(values):
        raise UsageError(refusal)
    return Parameter(name, text, choices=tuple(values))


def _range(task: str, name: str, text: str, match: re.Match[str]) -> Parameter:
    type_ = str(task_options(task)[name].type)
    if not ("int" in type_ or "float" in type_) or "tuple" in type_:
        raise UsageError(f"try: {name}: got the range '{text}', wanted a list of values separated by commas")
    is_whole = "float" not in type_
    try:
        low, high = (float(match[end]) for end in ("low", "high"))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"try: {name}: got '{text}', wanted two numbers, as 64..512")
    form = match["form"]
    step = re.fullmatch(r"step=(.+)", form or "")
    try:
        width = float(step[1]) if step else None
    except ValueError:
        width = 0.0
    is_known = form in (None, "log") or (width is not None and 0 < width < math.inf)
    if not is_known:
        raise UsageError(f"try: {name}: got '{text}', wanted :log or :step=NUMBER after the range")
    if is_whole and any(number != int(number) for number in (low, high, width or 0)):
        raise UsageError(f"try: {name}: got '{text}', wanted whole numbers")
    if not low < high:
        raise UsageError(f"try: {name}: got '{text}', wanted a lower number before a higher one")
    if form == "log" and low <= 0:
        raise UsageError(f"try: {name}: got '{text}', wanted a range above 0 for :log")
    for number in (low, high):
        check_option(task, name, int(number) if is_whole else number)
    return Parameter(name, text, low=low, high=high, is_whole=is_whole, is_log=form == "log", step=width)


def _typed(task: str, name: str, text: str) -> object:
    """Return a switch as a boolean; all other values are read by ``options.fill`` itself."""
    if str(task_options(task)[name].type) == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return text


def _plain(value: Any, text: str) -> Value:
    """Return a value that Optuna can store; lists stay text."""
    return value if isinstance(value, (str, int, float, bool)) else text


def space_as_json(parameters: list[Parameter]) -> dict[str, str]:
    """Return the space as it was typed."""
    return {parameter.name: parameter.text for parameter in parameters}
