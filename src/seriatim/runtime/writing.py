"""Models that write a text for each input: ``translate`` and ``caption``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from seriatim.decoding.pieces import pieces
from seriatim.decoding.sampling import sample
from seriatim.decoding.stops import cut_at_stop
from seriatim.encoding.buckets import pad
from seriatim.encoding.scaler import Standardizer
from seriatim.encoding.script import Script
from seriatim.encoding.vocabulary import Vocabulary
from seriatim.errors import DataError, UsageError
from seriatim.models.naive.captions import MostCommonCaption, NearestImage
from seriatim.notation import UNKNOWN
from seriatim.runtime.arithmetic import affine, pool_last, pool_mean
from seriatim.runtime.bodies import read_body
from seriatim.runtime.decoder import Memory
from seriatim.runtime.description import Description
from seriatim.runtime.mixture import read_mixture
from seriatim.runtime.model import Row, checked_texts
from seriatim.runtime.naive import load_naive
from seriatim.runtime.pictures import read_pictures_network
from seriatim.runtime.weights import WeightFile
from seriatim.runtime.writer import Writer

Array = NDArray[Any]


@final
class Translator(Writer):
    """A text for each text. The naive model ``copy`` gives the text itself."""

    task: ClassVar[str] = "translate"
    writing: ClassVar[str | None] = "answers"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        lowercase = codec.flag("lowercase")
        self._source = Script(codec.decoded("source", Vocabulary.from_json), lowercase)
        self.script = Script(codec.decoded("target", Vocabulary.from_json), lowercase)
        longest, self._reverse = codec.size("longest"), codec.flag("reverse")
        codec.done()
        self.read_settings(description, longest)
        self._is_copy = not description.has("network") and not description.has("blend")
        if description.has("blend"):
            self.read_members(read_mixture(description, weights, Translator, False))
            return
        if self._is_copy:
            description.choice("model", {"copy": "copy"})
            return
        network = description.part("network")
        width = network.size("embedding_size")
        self.embedding = weights.take("embedding", len(self._source), width)
        self.encoder = read_body(network, weights, width)
        self.read_network(network, weights, self.encoder.output_size, self.encoder.output_size)
        network.done()

    @property
    def has_network(self) -> bool:
        return not self._is_copy

    def encode_source(self, x: Any) -> Array:
        if not isinstance(x, str) or not x.strip():
            raise DataError(f"x: got {x!r:.40}, wanted the text to translate, which the first step reads")
        return self._encode(x)

    def first_input(self) -> Array:
        return np.zeros(1, np.int32)

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        texts = list(checked_texts(rows))
        if self._is_copy:
            written: Iterable[Row] = [{"prediction": self.script.fold_case(text), "score": 1.0} for text in texts]
        else:
            written = self.write([self._encode(text) for text in texts])
        for number, (text, row) in enumerate(zip(texts, written, strict=True), 1):
            yield {"row": number, "source": text} | row

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        repetition_penalty: float = 1.0,
        stop: str | Sequence[str] = (),
        seed: int | None = None,
    ) -> Iterator[str]:
        """Answer ``prompt`` piece by piece; see ``Run.generate``."""
        stops = (stop,) if isinstance(stop, str) else tuple(stop)
        if self._is_copy:
            return cut_at_stop([self.script.fold_case(prompt)], stops)
        if not prompt.strip():
            raise UsageError("prompt: empty, wanted the text to answer")

        def step(unit: int, state: Any) -> tuple[Array, Any]:
            chances, state, _ = self.decoder.step(np.array([unit]), state)
            row = chances[0]
            row[UNKNOWN] = -np.inf  # <unk> cannot be written as text
            return row, state

        boundary = self.decoder.boundary
        units = sample(
            step, self.start([self._encode(prompt)]), boundary, min(length, self.max_length),
            temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty,
            generator=np.random.default_rng(seed), stop=(boundary,),
        )  # fmt: skip
        return cut_at_stop(pieces(self.script.decode, units), stops)

    def align(self, text: str) -> Row | None:
        """Return the units of ``text`` and of its translation, and the attention weights [T][S] between them.

        None for a model without attention, or with many attentions in each layer.
        """
        if self._is_copy:
            return None
        encoded = self._encode(text)
        best = self.hypotheses([encoded])[0][0]
        if best.alignment is None:
            return None
        order = slice(None, None, -1 if self._reverse else 1)
        return {
            "target": self.script.visible_units(best.units),
            "source": self._source.visible_units(encoded[order].tolist()),
            "weights": [[round(float(weight), 5) for weight in row[: len(encoded)][order]] for row in best.alignment],
        }

    def memory(self, inputs: Sequence[Array]) -> Memory:
        padded, lengths = pad(inputs, 0)
        states, _ = self.encoder.run(self.embedding[padded], (), lengths)
        return Memory(pool_last(states, lengths, self.encoder.directions), states, lengths)

    def _encode(self, text: str) -> Array:
        units = self._source.encode(text)
        return (units if len(units) else np.zeros(1, np.int32))[:: -1 if self._reverse else 1]


@final
class Captioner(Writer):
    """A text for each picture: pixels [side, side, C] of 0 to 255, or feature vectors [R, C].

    A row of ``predict`` may also be a pair of the picture's name and it; then the result has the key ``image``.
    """

    task: ClassVar[str] = "caption"

    def __init__(self, description: Description, weights: WeightFile) -> None:
        codec = description.part("codec")
        self.script = Script(codec.decoded("vocabulary", Vocabulary.from_json), codec.flag("lowercase"))
        self._scaler = codec.decoded("scaler", Standardizer.from_json)
        self.side, longest = codec.size("side", 0), codec.size("longest")
        codec.done()
        self.read_settings(description, longest)
        self._naive: MostCommonCaption | NearestImage | None = None
        if description.has("blend"):
            self.read_members(read_mixture(description, weights, Captioner, False))
            return
        if not description.has("network"):
            kinds: dict[str, type[MostCommonCaption] | type[NearestImage]] = {
                "most_common": MostCommonCaption, "nearest_image": NearestImage
            }  # fmt: skip
            self._naive = description.choice("model", kinds)()
            load_naive(self._naive, weights)
            return
        network = description.part("network")
        self._pictures, width = read_pictures_network(network, weights, self.side, len(self._scaler.mean))
        hidden = network.size("hidden_size")
        self._region = weights.take("region.weight", hidden, width), weights.take("region.bias", hidden)
        self._context = weights.take("context.weight", hidden, hidden)
        self._norm = [weights.take(f"context.norm.{name}", hidden) for name in ("weight", "bias", "mean", "variance")]
        self.read_network(network, weights, hidden, hidden)
        network.done()

    @property
    def has_network(self) -> bool:
        return self._naive is None

    def encode_source(self, x: Any) -> Array:
        try:
            return self._checked("x", np.asarray(x))
        except (TypeError, ValueError) as error:
            raise DataError(f"x: no picture, which the first step reads ({error})") from None

    def first_input(self) -> Array:
        shape = (self.side, self.side) if self.side else (1,)
        return np.zeros((*shape, len(self._scaler.mean)), np.float32)

    def predict(self, rows: Iterable[Any]) -> Iterator[Row]:
        named = [
            row if isinstance(row, tuple) and len(row) == 2 and isinstance(row[0], str) else (None, row) for row in rows
        ]
        pictures = [self._checked(f"row {number}", picture) for number, (_, picture) in enumerate(named, 1)]
        if self._naive is not None:
            compared = pictures if self.side else [self._scaler.transform(picture) for picture in pictures]
            written: Iterable[Row] = [{"prediction": text} for text in self._naive.captions(compared)]
        else:
            written = self.write(pictures)
        for number, ((name, _), row) in enumerate(zip(named, written, strict=True), 1):
            yield {"row": number, **({} if name is None else {"image": name})} | row

    def _checked(self, place: str, row: Any) -> Array:
        picture, channels = np.asarray(row), len(self._scaler.mean)
        expected = (self.side, self.side, channels) if self.side else (len(picture) if picture.ndim else 0, channels)
        if picture.shape != expected or not picture.size or not np.isfinite(picture.astype(np.float64)).all():
            raise DataError(f"{place}: got shape {picture.shape}, wanted {list(expected)} of finite numbers")
        return picture if self.side else picture.astype(np.float32)

    def memory(self, inputs: Sequence[Array]) -> Memory:
        if self.side:
            pixels = self._scaler.transform(np.stack(inputs).astype(np.float32))
            regions = self._pictures.run(pixels)
            lengths = np.full(len(inputs), len(regions))
        else:
            vectors, lengths = pad([self._scaler.transform(features) for features in inputs], 0.0)
            regions = self._pictures.run(vectors)
        regions = np.maximum(affine(regions, *self._region), 0)
        mean = affine(pool_mean(regions, lengths, 1), self._context, None)
        weight, bias, average, variance = self._norm
        normal = (mean - average) / np.sqrt(variance + np.float32(1e-5)) * weight + bias
        return Memory(np.tanh(normal), regions, lengths)
