"""``caption``: what a picture shows, in words. One to many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np

from seriatim.data.files import content_hash
from seriatim.data.images import PictureFormat, Pictures, read_pictures
from seriatim.errors import UsageError
from seriatim.learning.checkpoint_store import CheckpointStore
from seriatim.learning.loop import Outcome, TrainingPlan, fit
from seriatim.learning.observer import Observer
from seriatim.models.captioner import Captioner
from seriatim.models.contract import Trainable
from seriatim.models.naive.captions import MostCommon, NearestImage
from seriatim.tasks.common.epochs import epochs
from seriatim.tasks.common.fitting import closed_form
from seriatim.tasks.common.parts import read_parts
from seriatim.tasks.common.picture_reader import Examples, PictureReader
from seriatim.tasks.common.writing import check_writing, flat_texts, signatures, text_scores, writer
from seriatim.tasks.options import ANEW, CAPTION_BASELINES, CaptionOptions
from seriatim.tasks.task import Fresh, Model, Prepared, Row, Scores, Task, Words

Array = np.ndarray[Any, Any]


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
    anew = ANEW

    def check(self, options: CaptionOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a decoder writes from the start, and cannot read what is not written yet")
        if options.image and options.features:
            raise UsageError("image: give either --image or --features, not both")
        check_writing(options)

    def prepare(
        self, options: CaptionOptions, source: object, codec: PictureReader | None = None
    ) -> Prepared[Examples, PictureReader]:
        parts = read_parts(options, source, lambda one: _read(options, one))
        reader = codec or PictureReader.fit(options, parts.train)
        train, valid, test = (reader.examples(part) for part in (parts.train, parts.valid, parts.test))
        notes = (*parts.notes, *signatures(test.references))
        return Prepared(train, valid, test, reader, parts.sizes, parts.hash, notes)

    def read(self, options: CaptionOptions, codec: PictureReader, source: object) -> Fresh[Examples]:
        pictures = _read(options, source)
        return Fresh(codec.examples(pictures), len(pictures), content_hash(pictures.content))

    def codec(self, content: dict[str, Any]) -> PictureReader:
        return PictureReader.from_json(content)

    def make(self, options: CaptionOptions, codec: PictureReader) -> Model:
        makers: dict[str, Callable[[], Model]] = {"most_common": MostCommon, "nearest_image": NearestImage}
        return makers.get(
            options.model,
            lambda: Captioner(
                options,
                codec.size,
                len(codec.script),
                filters=options.filters,
                peeky=options.peeky,
                attention=options.attention,
                tie=options.tie,
            ),
        )()

    def words(self, data: Prepared[Examples, PictureReader]) -> Words | None:
        vocabulary = data.codec.script.vocabulary
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
        keeper: CheckpointStore,
        observer: Observer,
    ) -> Outcome:
        if isinstance(model, (MostCommon, NearestImage)):
            with closed_form() as timer:
                if isinstance(model, MostCommon):
                    model.fit(data.train.references)
                else:
                    model.fit(_marked(data.codec, data.train.inputs), data.train.references)
            return timer.outcome()
        assert isinstance(model, Trainable)
        together = max(1, round(options.batch_size / data.train.captions_each))
        course = TrainingPlan(
            epoch=epochs(data.train, options, batch_size=together, batch_tokens=options.batch_tokens),
            validate=lambda network: writer(network, data.codec, options).validate(data.valid),
            monitor="valid_nll",
            rate="tokens_per_second",
        )
        return fit(model, course, options, keeper, observer)

    def score(self, model: Model, options: CaptionOptions, codec: PictureReader, split: Examples) -> Scores:
        if isinstance(model, (MostCommon, NearestImage)):
            return text_scores(model.captions(_marked(codec, split.inputs)), split.references)
        return writer(model, codec, options).score(split)

    def predict(self, model: Model, options: CaptionOptions, codec: PictureReader, source: object) -> Iterator[Row]:
        """Write a caption for each row's picture, with the others that the beam found, and where it looked."""
        pictures = _read(options, source, need_text=False)
        codec.check(pictures)
        if isinstance(model, (MostCommon, NearestImage)):
            if options.alignment:
                raise UsageError(f"alignment: {options.model} has none")
            said = [{"prediction": text} for text in model.captions(_marked(codec, pictures.inputs))]
        else:
            said = list(writer(model, codec, options).rows(pictures.inputs))
        for row, picture in enumerate(pictures.rows):
            yield {"row": row + 1, "image": pictures.names[picture]} | said[picture]

    def flat(self, row: Row) -> Iterator[Row]:
        return flat_texts(row, "image")


def _read(options: CaptionOptions, source: object, *, need_text: bool = True) -> Pictures:
    return read_pictures(
        source,
        PictureFormat(options.image_size, options.grey, bool(options.features)),
        image=options.image,
        features=options.features,
        text=options.text,
        group=options.group if need_text else None,
        header=options.header,
        need_text=need_text,
    )


def _marked(codec: PictureReader, pictures: Sequence[Array]) -> Sequence[Array]:
    """Pictures as the nearest one is looked for: pixels as they are, feature vectors scaled."""
    return pictures if codec.side else [codec.scaler.transform(one) for one in pictures]
