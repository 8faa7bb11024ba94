"""Bad data and options of ``train caption``."""

from __future__ import annotations

import pytest

from bad_input.files import QUICK, Check, captions, replace_line, vector

COMMAND = ("train", "caption")
PICTURES = ("--image", "image", "--text", "caption", "--image-size", "8", "--filters", "1")
FEATURES = ("--features", "image", "--text", "caption")

FILES: dict[str, str | bytes] = {
    "words.png": "a red square",
    "three.npy": vector(1, 2, 3),
    "four.npy": vector(1, 2, 3, 4),
    "image_gone.csv": replace_line(captions(), 4, "nothere.png,x"),
    "image_words.csv": replace_line(captions(), 4, "words.png,x"),
    "no_caption.csv": replace_line(captions(), 4, "good.png, "),
    "vectors.csv": "image,caption\nthree.npy,x\nfour.npy,y\n",
    "no_image.csv": replace_line(captions(), 4, ",x"),
    "vector_half.csv": "image,caption\nthree.npy,x\nhalf.png,y\n",
}

DATA_CASES = [
    ("image_gone.csv", PICTURES, "image_gone.csv: line 4, column 'image': nothere.png: no such file"),
    ("image_half.csv", PICTURES, "image_half.csv: line 4, column 'image': half.png: broken image: "),
    ("image_words.csv", PICTURES, "image_words.csv: line 4, column 'image': words.png: not an image"),
    ("no_caption.csv", PICTURES, "no_caption.csv: line 4, column 'caption': empty caption"),
    ("no_image.csv", PICTURES, "no_image.csv: line 4, column 'image': no image"),
    ("vectors.csv", FEATURES, "line 3, column 'image': vectors of 4 numbers, wanted 3 as in the first row"),
    ("vector_half.csv", FEATURES, "line 3, column 'image': half.png: not a .npy file of numbers that can"),
    ("captions.csv", (*PICTURES, "--test", "image_gone.csv"), "image_gone.csv: line 4, column 'image'"),
]


@pytest.mark.parametrize(("file", "options", "message"), DATA_CASES)
def test_bad_data_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *options, *QUICK)
    assert message in failure.line
    assert failure.code == 1


OPTION_CASES = [
    ("captions.csv", ("--text", "caption"), "image: name the column of the images, or --features"),
    ("captions.csv", ("--image", "image"), "text: name the column of the captions"),
    ("captions.csv", ("--image", "imge", "--text", "caption"), "no column 'imge' (did you mean 'image'?)"),
    ("captions.csv", (*PICTURES, "--features", "image"), "image: give either --image or --features, not both"),
    ("captions.csv", (*PICTURES, "--image-size", "4"), "--image-size: got 4, wanted at least 8"),
    ("captions.csv", (*PICTURES, "--bidirectional"), "bidirectional: "),
    ("captions.csv", (*PICTURES, "--n-best", "5"), "n_best: got 5, wanted at most the beam's size"),
    ("captions.csv", (*PICTURES, "--model", "transformer"), "--model: 'transformer' is not one of"),
]


@pytest.mark.parametrize(("file", "options", "message"), OPTION_CASES)
def test_bad_option_is_refused(failure_of: Check, file: str, options: tuple[str, ...], message: str) -> None:
    failure = failure_of(*COMMAND, file, *QUICK, *options)
    assert message in failure.line
    assert failure.code == 2
