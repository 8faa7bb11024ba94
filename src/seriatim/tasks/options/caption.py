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
        "lstm", "cell of the decoder, or a baseline", choices=CELLS + CAPTION_BASELINES, registered=REGISTERED
    )
    hidden: int = option(256, "hidden units per layer", minimum=1)
    bidirectional: bool = option(False, "not for caption: a decoder writes from the start")
    dropout: float = option(0.3, "dropout on regions, embeddings and before the output", minimum=0.0, below=1.0)
    batch_size: int = option(64, "captions per update, at most", minimum=1)
    batch_tokens: int = option(8192, "units of captions per update, padding too, at most", minimum=1)
    image: str | None = option(None, "column of the images' paths (from the table's folder), or of their bytes")
    features: str | None = option(None, "column of the paths of .npy files of feature vectors, in place of images")
    text: str | None = option(None, "column of the captions; rows with the same image are captions of one picture")
    drop_duplicates: bool = option(False, "drop repeated pictures before splitting")
    image_size: int = option(64, "pixels of a side that every image is brought to", minimum=8)
    grey: bool = option(False, "read images without their colours")
    filters: int = option(32, "of the first convolution; each of the next three has twice as many", minimum=1)
    peeky: bool = option(False, "the decoder sees the whole picture at every step (Cho 2014)")
    attention: str = option(
        "additive", "how the decoder looks at one region or another (Xu 2015); none: Vinyals 2015", choices=ATTENTIONS
    )
