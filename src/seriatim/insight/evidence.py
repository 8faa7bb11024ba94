"""The evidence on a trained model: its measures, the curves of its training and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from seriatim.insight.alignment import Alignment
from seriatim.insight.breakdown import Breakdown
from seriatim.insight.calibration import Calibration
from seriatim.insight.data import DataMeasures
from seriatim.insight.followers import Follower
from seriatim.insight.horizon import Horizon
from seriatim.insight.information import LagInformation
from seriatim.insight.network import NetworkMeasures
from seriatim.insight.sample import Sample


@dataclass(frozen=True)
class Limit:
    """How many steps back the training could reach."""

    steps: int
    flag: str
    """The option that sets it: ``--truncation`` or ``--lookback``; empty where the data's length is the limit."""
    name: str


@dataclass(frozen=True)
class Evidence:
    """Everything that the checks read. What was not measured is None or empty, and its checks say ``unknown``."""

    task: str
    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    network: NetworkMeasures | None = None
    data: DataMeasures = field(default_factory=DataMeasures)
    limit: Limit | None = None
    rows: Sequence[Mapping[str, float]] = ()
    """The validations of the training, as in ``metrics.jsonl``."""
    scores: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    test_size: int = 0
    """Steps or rows of the test part that the scores are taken over."""
    samples: Sequence[Sample] = ()
    calibration: Calibration | None = None
    """Of a classifier, on the test part."""
    followers: Sequence[Follower] = ()
    """Units that follow something with a name."""
    alignments: Sequence[Alignment] = ()
    """Written texts with the attention to their sources."""
    breakdowns: Sequence[Breakdown] = ()
    """Scores by groups of the test part."""
    residuals: LagInformation | None = None
    """Autocorrelation of the errors of forecasts of the next step."""
    features: Sequence[tuple[str, float]] = ()
    """Input columns with their shares of the attributions of the samples."""
    main_score: str = ""
    higher_is_better: bool = False

    @property
    def gradient(self) -> Horizon | None:
        """How far back the loss at a step has a gradient."""
        return self.network.gradient.horizon() if self.network else None

    @property
    def ablation(self) -> Horizon | None:
        """How far back context matters to the loss."""
        return self.network.ablations["cut"].horizon() if self.network else None

    @property
    def looks(self) -> Horizon | None:
        """How far back the model looks: by what it loses without the context, else by its gradient."""
        used = self.ablation
        return used if used is not None and (used.lag > 0 or used.is_censored) else self.gradient

    @property
    def need(self) -> Horizon | None:
        """How far back the data's past says something about them that nearer steps do not say."""
        information = self.data.information
        if information is None:
            return None
        return Horizon(max(information.horizon(), float(self.data.order)), information.is_censored)
