"""Options of ``train caption``."""

from __future__ import annotations

from dataclasses import dataclass

from seriatim.models.options import CELLS
from seriatim.options import option
from seriatim.spec import REGISTERED
from seriatim.tasks.options.translate import ATTENTIONS
from seriatim.tasks.options.writing import WritingOptions

CAPTION_BASELINES = ("most_common", "nearest_image")


@dataclass(frozen=True, kw_only=True)
class CaptionOptions(WritingOptions):
    """Options of ``train caption``."""

    model: str = option(
        "lstm", "cell of the decoder, or baseline", choices=CELLS + CAPTION_BASELINES, registered=REGISTERED
    )
    hidden: int = option(256, "hidden units per layer", minimum=1)
    bidirectional: bool = option(False, "not available: a decoder writes from the start")
    dropout: float = option(0.3, "dropout on regions, on embeddings and before the output", minimum=0.0, below=1.0)
    batch_size: int = option(64, "maximum number of captions per update", minimum=1)
    batch_tokens: int = option(8192, "maximum number of caption units per update, including padding", minimum=1)
    image: str | None = option(None, "column of the images: paths relative to the table, or bytes")
    features: str | None = option(None, "column of paths of .npy files with feature vectors, in place of images")
    text: str | None = option(None, "column of the captions; rows with the same image are captions of one picture")
    drop_duplicates: bool = option(False, "drop repeated pictures before splitting")
    image_size: int = option(64, "side in pixels to which each image is resized", minimum=8)
    grey: bool = option(False, "convert images to grey levels")
    filters: int = option(32, "filters of the first convolution; each of the next three has twice as many", minimum=1)
    peeky: bool = option(False, "the decoder reads the whole picture at every step (Cho 2014)")
    attention: str = option(
        "additive",
        "attention of the decoder to regions of the picture (Xu 2015); none: Vinyals 2015",
        choices=ATTENTIONS,
    )
