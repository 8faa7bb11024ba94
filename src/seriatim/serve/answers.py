"""The answers of a stream's steps as JSON values."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from pydantic_core import to_json

from seriatim.runtime import Model, Stream

Row = dict[str, Any]


@final
class Answers:
    """Turns what ``Stream.step`` returns into JSON values.

    A model that writes units answers with the most probable next ones, a model of piano rolls with the probability of
    each note, and other models with a row of ``predict``. A forecaster that has read less than its lookback answers
    None. The end of a translation or caption is a unit whose text is None.
    """

    def __init__(self, model: Model) -> None:
        vocabulary = vocabulary_of(model)
        self._texts: list[str | None] | None = None
        if vocabulary is not None:
            self._texts = [vocabulary.decode([unit]) for unit in range(len(vocabulary))]
            if model.task != "language":
                self._texts.append(None)

    def encode(self, name: str, seq: int, stream: Stream, answer: Any, top: int, hidden: bool) -> bytes:
        """Return the answer to step ``seq`` of a session as JSON. Numbers that are not finite become null."""
        row: Row = {"session": name, "seq": seq, "position": stream.position, "answer": self._values(answer, top)}
        if hidden:
            row["hidden"] = hidden_units(stream)
        return to_json(row, inf_nan_mode="null")

    def _values(self, answer: Any, top: int) -> Any:
        if not isinstance(answer, np.ndarray):
            return answer
        if self._texts is None:
            return {"notes": answer.tolist()}
        # Sorting the best alone is cheaper than sorting a large vocabulary.
        rest = max(len(answer) - top, 0)
        best = np.argpartition(answer, rest)[rest:] if rest else np.arange(len(answer))
        order = best[np.argsort(-answer[best], kind="stable")]
        texts, values = self._texts, answer[order].tolist()
        return {
            "next": [
                {"unit": unit, "text": texts[unit], "log_probability": value}
                for unit, value in zip(order.tolist(), values, strict=True)
            ]
        }


def vocabulary_of(model: Model) -> Any:
    """Return the vocabulary of what the model writes; None if it writes no units."""
    return getattr(model, "vocabulary", None) or getattr(getattr(model, "script", None), "vocabulary", None)


def hidden_units(stream: Stream) -> list[float] | None:
    """Return the hidden units [H] of the last layer after the last step; None for a model without such units."""
    arrays = stream.state.arrays  # a member of a blend has a number before the name
    output = next((array for name, array in arrays.items() if name.rpartition(".")[2] == "output"), None)
    if output is not None:
        return [float(value) for value in output[0]]
    carry = stream.state.carry
    if carry and carry[0].ndim == 3 and carry[0].shape[1] == 1:
        return [float(value) for value in carry[0][-1, 0]]
    return None
