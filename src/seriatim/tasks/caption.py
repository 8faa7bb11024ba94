"""``caption``: what a picture shows, in words. One to many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from seriatim.data.buckets import token_buckets
from seriatim.data.files import content_hash
from seriatim.data.images import Look, Pictures, read_pictures
from seriatim.data.splits import count_shared, hold_out, stratified
from seriatim.decoding.beam import Hypothesis
from seriatim.errors import DataError, UsageError
from seriatim.learning.loop import Course, Keeper, Outcome, fit
from seriatim.learning.observer import Observer
from seriatim.models.captioner import Captioner
from seriatim.models.contract import Trainable
from seriatim.models.retrieval import MostCommon, NearestImage
from seriatim.notation import UNKNOWN
from seriatim.tasks.fitting import closed_form
from seriatim.tasks.options import CAPTION_BASELINES, CaptionOptions
from seriatim.tasks.pair_writer import perplexity
from seriatim.tasks.picture_reader import Epoch, Examples, PictureReader
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task, Words
from seriatim.tasks.writing import signatures, text_scores, write

Array = np.ndarray[Any, Any]

EVALUATION_BATCH = 64
VALIDATION_TEXTS = 500
"""Pictures of the validation part that are written about, greedily, each time."""


@final
class Caption(Task[CaptionOptions, Examples, PictureReader]):
    """Picture to words: convolutions and a recurrent decoder; the commonest caption, the nearest picture's."""

    name = "caption"
    options = CaptionOptions
    main_score = "chrf"  # as of translate
    higher_is_better = True
    baselines = CAPTION_BASELINES
    neural_baselines = ()
    piped_format = "csv"
    codec_files = ("vocabulary.json",)
    anew = ("beam_size", "n_best", "length_penalty", "max_length", "alignment")

    def check(self, options: CaptionOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a decoder writes from the start, and cannot read what is not written yet")
        if options.image and options.features:
            raise UsageError("image: give either --image or --features, not both")
        if options.n_best > options.beam_size:
            raise UsageError(
                f"n_best: got {options.n_best}, wanted at most the beam's size ({options.beam_size}, --beam-size)"
            )

    def prepare(
        self, options: CaptionOptions, source: object, codec: PictureReader | None = None
    ) -> Prepared[Examples, PictureReader]:
        whole = _read(options, source)
        fixed = {
            part: _read(options, Path(path))
            for part, path in (("valid", options.valid), ("test", options.test))
            if path
        }
        notes: list[str] = []
        if options.drop_duplicates:
            whole, dropped = whole.without_duplicates()
            notes.append(f"{dropped} duplicates dropped before splitting")
        parts = _split(whole, fixed, options.seed)
        for name, part in parts.items():
            if not len(part):
                raise DataError(f"{name} part: no pictures; too little data")
        notes += _shared_notes(parts)
        reader = codec or PictureReader.fit(options, parts["train"])
        train, valid, test = (reader.examples(parts[name]) for name in ("train", "valid", "test"))
        notes += signatures(test.captions)
        return Prepared(
            train,
            valid,
            test,
            reader,
            {name: len(part) for name, part in parts.items()},
            content_hash(*((part.inputs, part.captions) for part in (whole, *fixed.values()))),
            tuple(notes),
        )

    def read(self, options: CaptionOptions, codec: PictureReader, source: object) -> Fresh[Examples]:
        pictures = _read(options, source)
        return Fresh(codec.examples(pictures), len(pictures), content_hash((pictures.inputs, pictures.captions)))

    def codec(self, content: dict[str, Any]) -> PictureReader:
        return PictureReader.from_json(content)

    def make(self, options: CaptionOptions, codec: PictureReader) -> Model:
        makers: dict[str, Callable[[], Model]] = {"most_common": MostCommon, "nearest_image": NearestImage}
        return makers.get(
            options.model,
            lambda: Captioner(
                options,
                codec.size,
                len(codec.vocabulary),
                filters=options.filters,
                peeky=options.peeky,
                attention=options.attention,
                tie=options.tie,
            ),
        )()

    def words(self, data: Prepared[Examples, PictureReader]) -> Words | None:
        vocabulary = data.codec.vocabulary
        if vocabulary.unit != "word":
            return None
        return Words(vocabulary.tokens, [one[:-1] for some in data.train.targets for one in some])

    def beside(self, options: CaptionOptions, baseline: str) -> CaptionOptions:
        return dataclasses.replace(options, model=baseline, vectors=None, freeze_vectors=False)

    def fit(
        self,
        model: Model,
        options: CaptionOptions,
        data: Prepared[Examples, PictureReader],
        keeper: Keeper,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, (MostCommon, NearestImage)):
            with closed_form() as timer:
                if isinstance(model, MostCommon):
                    model.fit(data.train.captions)
                else:
                    model.fit(_marked(data.codec, data.train.pictures), data.train.captions)
            return timer.outcome()
        train = data.train
        together = max(1, round(options.batch_size / train.captions_each))
        course = Course(
            epoch=lambda number: Epoch(
                train,
                token_buckets(train.lengths, together, options.batch_tokens, seed=options.seed * 1_000_003 + number),
            ),
            validate=lambda network: _validation(_network(network), options, data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )
        return fit(_network(model), course, options, keeper, observer)

    def score(self, model: Model, options: CaptionOptions, codec: PictureReader, split: Examples) -> Scores:
        if isinstance(model, (MostCommon, NearestImage)):
            return text_scores(model.captions(_marked(codec, split.pictures)), split.captions)
        network = _network(model)
        found = _written(network, options, codec, split.pictures)
        scores = text_scores([codec.text(best[0].units) for best in found], split.captions)
        return scores | {"perplexity": perplexity(_nll(network, split))}

    def predict(self, model: Model, options: CaptionOptions, codec: PictureReader, source: object) -> Iterator[Row]:
        """Write a caption for each row's picture, with the others that the beam found, and where it looked."""
        pictures = _read(options, source, need_text=False)
        codec.check(pictures)
        if isinstance(model, (MostCommon, NearestImage)):
            if options.alignment:
                raise UsageError(f"alignment: {options.model} has none")
            said = [{"prediction": text} for text in model.captions(_marked(codec, pictures.inputs))]
        else:
            found = _written(_network(model), options, codec, pictures.inputs)
            said = [_told(options, codec, some) for some in found]
        for row, picture in enumerate(pictures.rows):
            yield {"row": row + 1, "image": pictures.names[picture]} | said[picture]

    def flat(self, row: Row) -> Iterator[Row]:
        """Give a row for each caption; of the alignment, nothing."""
        shown = {name: row[name] for name in ("row", "image")}
        for rank, found in enumerate(row.get("n_best", [row]), 1):
            texts = {name: found[name] for name in ("prediction", "score") if name in found}
            yield shown | ({"rank": rank} if "n_best" in row else {}) | texts


def _read(options: CaptionOptions, source: object, *, need_text: bool = True) -> Pictures:
    return read_pictures(
        source,
        Look(options.image_size, options.grey, bool(options.features)),
        image=options.image,
        features=options.features,
        text=options.text,
        group=options.group if need_text else None,
        header=options.header,
        need_text=need_text,
    )


def _split(whole: Pictures, fixed: dict[str, Pictures], seed: int) -> dict[str, Pictures]:
    """Cut what was not given from ``whole``."""
    alike = [""] * len(whole)
    if not fixed:
        train, valid, test = stratified(alike, whole.groups, seed)
        return {"train": whole.take(train), "valid": whole.take(valid), "test": whole.take(test)}
    missing = [part for part in ("valid", "test") if part not in fixed]
    if not missing:
        return {"train": whole, **fixed}
    train, held = hold_out(alike, whole.groups, seed)
    return {"train": whole.take(train), **fixed, missing[0]: whole.take(held)}


def _shared_notes(parts: dict[str, Pictures]) -> Iterator[str]:
    for name in ("valid", "test"):
        shared = count_shared(parts["train"].inputs, parts[name].inputs)
        if shared:
            yield f"{name}: {shared} of {len(parts[name])} pictures also stand in the training part (--drop-duplicates)"


def _marked(codec: PictureReader, pictures: Sequence[Array]) -> Sequence[Array]:
    """Pictures as the nearest one is looked for: pixels as they are, feature vectors scaled."""
    return pictures if codec.side else [codec.scaler.transform(one) for one in pictures]


def _written(
    network: Captioner, options: CaptionOptions, codec: PictureReader, pictures: list[Array], *, greedy: bool = False
) -> list[list[Hypothesis]]:
    """Write of each picture, in batches; the best first, at least one each. ``<unk>`` is never written."""
    found: list[list[Hypothesis]] = []
    for start in range(0, len(pictures), EVALUATION_BATCH):
        some = pictures[start : start + EVALUATION_BATCH]
        found += write(
            network,
            codec.views(some),
            len(some),
            max_length=options.max_length or 2 * codec.longest,
            beam_size=1 if greedy else options.beam_size,
            n_best=1 if greedy else options.n_best,
            length_penalty=options.length_penalty,
            forbidden=(UNKNOWN,),
        )
    return found


def _told(options: CaptionOptions, codec: PictureReader, found: list[Hypothesis]) -> Row:
    """What was found of one picture, as ``predict`` gives it."""
    best = found[0]
    row: Row = {"prediction": codec.text(best.units), "score": best.score}
    if options.n_best > 1:
        row["n_best"] = [{"prediction": codec.text(one.units), "score": one.score} for one in found]
    if options.alignment:
        if best.alignment is None:
            raise UsageError("alignment: this model was trained with --attention none, so there is none to show")
        row["alignment"] = {
            "target": [codec.vocabulary.decode([unit]).strip() or "␣" for unit in best.units],
            "weights": [[round(float(weight), 5) for weight in regions] for regions in best.alignment],
        }
    return row


def _nll(network: Captioner, examples: Examples) -> float:
    """Return the mean negative log-likelihood of the captions' units, their ends among them, in nats."""
    network.eval()
    total, units = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(examples), EVALUATION_BATCH):
            batch = examples.batch(np.arange(start, min(start + EVALUATION_BATCH, len(examples))))
            total += float(network.loss(batch, ())[0]) * batch.units
            units += batch.units
    return total / units


def _validation(network: Captioner, options: CaptionOptions, examples: Examples) -> Scores:
    """Judge the network, and look at what it writes."""
    some = slice(0, VALIDATION_TEXTS)
    found = _written(network, options, examples.reader, examples.pictures[some], greedy=True)
    scores = text_scores([examples.reader.text(best[0].units) for best in found], examples.captions[some])
    mean = _nll(network, examples)
    return {"valid_nll": mean, "valid_perplexity": perplexity(mean)} | {
        f"valid_{name}": score for name, score in scores.items()
    }


def _network(model: Trainable | Model) -> Captioner:
    assert isinstance(model, Captioner)
    return model
