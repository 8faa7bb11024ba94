"""``caption``: writes a caption for a picture. One to many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np

from seriatim.data.images import PictureFormat, Pictures, read_pictures
from seriatim.errors import UsageError
from seriatim.models.captioner import Captioner
from seriatim.models.naive.captions import MostCommonCaption, NearestImage
from seriatim.tasks.common.picture_codec import EncodedPictures, PictureCodec
from seriatim.tasks.common.writing import check_writing_options, text_csv_rows
from seriatim.tasks.common.writing_task import WritingTask
from seriatim.tasks.options import CAPTION_BASELINES, CaptionOptions
from seriatim.tasks.task import PreparedData, Row, WordCorpus

Array = np.ndarray[Any, Any]


AnyCaptioner = MostCommonCaption | NearestImage | Captioner


@final
class Caption(WritingTask[CaptionOptions, EncodedPictures, PictureCodec]):
    """Captions by convolutions and a recurrent decoder, the most common caption, or the one of the nearest picture."""

    name = "caption"
    options = CaptionOptions
    baselines = CAPTION_BASELINES
    stdin_format = "csv"

    def check(self, options: CaptionOptions) -> None:
        if options.bidirectional:
            raise UsageError("bidirectional: a decoder writes from the start, and cannot read what is not written yet")
        if options.image and options.features:
            raise UsageError("image: give either --image or --features, not both")
        check_writing_options(options)

    def read_collection(self, options: CaptionOptions, source: object) -> Pictures:
        return _read(options, source)

    def fit_codec(self, options: CaptionOptions, train: Pictures) -> PictureCodec:
        return PictureCodec.fit(options, train)

    def text_notes(
        self, options: CaptionOptions, codec: PictureCodec, train: Pictures, valid: EncodedPictures
    ) -> Iterator[str]:
        return iter(())

    def codec_from_json(self, content: dict[str, Any]) -> PictureCodec:
        return PictureCodec.from_json(content)

    def make(self, options: CaptionOptions, codec: PictureCodec) -> AnyCaptioner:
        makers: dict[str, Callable[[], AnyCaptioner]] = {
            "most_common": MostCommonCaption,
            "nearest_image": NearestImage,
        }
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

    def word_corpus(self, data: PreparedData[EncodedPictures, PictureCodec]) -> WordCorpus | None:
        vocabulary = data.codec.script.vocabulary
        if vocabulary.unit != "word":
            return None
        without_end_marks = [caption[:-1] for captions in data.train.targets for caption in captions]
        return WordCorpus(vocabulary.tokens, without_end_marks)

    def fit_naive(
        self, model: MostCommonCaption | NearestImage, data: PreparedData[EncodedPictures, PictureCodec]
    ) -> None:
        if isinstance(model, MostCommonCaption):
            model.fit(data.train.references)
        else:
            model.fit(_comparable(data.codec, data.train.inputs), data.train.references)

    def write_naive(
        self, model: MostCommonCaption | NearestImage, codec: PictureCodec, inputs: Sequence[Array]
    ) -> Iterator[Row]:
        return ({"prediction": text} for text in model.captions(_comparable(codec, inputs)))

    def predict(
        self, model: AnyCaptioner, options: CaptionOptions, codec: PictureCodec, source: object
    ) -> Iterator[Row]:
        """Yield a caption for the picture of each row, with the beam's other texts and the alignment on request."""
        pictures = _read(options, source, need_text=False)
        codec.check(pictures)
        captions = list(self.write(model, options, codec, pictures.inputs))
        for row, picture in enumerate(pictures.rows):
            yield {"row": row + 1, "image": pictures.names[picture]} | captions[picture]

    def csv_rows(self, row: Row) -> Iterator[Row]:
        return text_csv_rows(row, "image")


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


def _comparable(codec: PictureCodec, pictures: Sequence[Array]) -> Sequence[Array]:
    """Return pixels as they are, and feature vectors scaled, so that distances between them are meaningful."""
    return pictures if codec.side else [codec.scaler.transform(features) for features in pictures]
