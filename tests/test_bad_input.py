"""Whatever is wrong with what a user gives: one clear line, the right exit code, and nothing half-written."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import soundfile
from PIL import Image

from seriatim.cli.app import run as run_command
from seriatim.run import load, train
from seriatim.storage import read_arrays

QUICK = ("--epochs", "1", "--hidden", "4", "--baselines", "none", "--threads", "1")
LANGUAGE = ("train", "language")
TRANSLATE = ("train", "translate")
COLUMN_PAIR = ("--source", "text", "--target", "label")
CLASSIFY = ("train", "classify")
TEXTS = ("--text", "text", "--label", "label")
STEPS = ("--channels", "a,b", "--id", "id", "--label", "label")
FORECAST = ("train", "forecast")
REGRESS = ("train", "regress")
TARGET = ("--channels", "a,b", "--id", "id", "--target", "left")
ROLL = ("--unit", "roll")
SOUND = ("--sound", "file", "--label", "label")
TAG = ("train", "tag")
CAPTION = ("train", "caption")
PICTURES = ("--image", "image", "--text", "caption", "--image-size", "8", "--filters", "1")
FEATURES = ("--features", "image", "--text", "caption")
CLOSE = ("--time", "date", "--target", "close", "--horizon", "4", "--lookback", "12")


def corpus() -> str:
    return "the cat sees the sun.\nthe dog likes the sea.\n" * 60


def messages() -> str:
    draw = random.Random(0)
    words = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue")}
    return "text,label\n" + "".join(
        f"{' '.join(draw.choices(words[one], k=3))} {row},{one}\n" for row in range(20) for one in words
    )


def steps() -> str:
    """Twenty sequences of four steps."""
    return "id,a,b,label\n" + "".join(f"{row // 4},{row}.5,{row % 7},{'xy'[row // 4 % 2]}\n" for row in range(80))


def life() -> str:
    """Twenty engines of four steps, and how many are left."""
    return "id,a,b,left\n" + "".join(f"{row // 4},{row}.5,{row % 7},{3 - row % 4}\n" for row in range(80))


def prices(rows: int = 60) -> str:
    days = np.datetime64("2020-01-01") + np.arange(rows)
    return "date,close,open\n" + "".join(f"{day},{10 + row % 6}.25,{row}\n" for row, day in enumerate(days))


def tagged() -> str:
    """Twenty sentences of three words, on four lines each."""
    return "".join(f"the\tDET\nn{row}\tNOUN\nbarks\tVERB\n\n" for row in range(20))


def captions() -> str:
    """Twenty pictures with a caption each."""
    return "image,caption\n" + "".join(f"good.png,picture\nfull/{row}.png,picture {row}\n" for row in range(20))


def picture(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((40, 40), shade).save(file, "PNG")
    return file.getvalue()


def vector(*numbers: float) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(numbers, np.float32))
    return file.getvalue()


def silence(rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(rate // 10), rate, format="WAV")
    return file.getvalue()


def instead(text: str, line: int, content: str) -> str:
    """Put ``content`` in place of a line (from 1)."""
    lines = text.splitlines()
    lines[line - 1] = content
    return "\n".join(lines) + "\n"


FILES: dict[str, str | bytes] = {
    "corpus.txt": corpus(), "messages.csv": messages(), "steps.csv": steps(), "prices.csv": prices(),
    "one.txt": "ein Hund\n" * 20, "two.txt": "a dog\n" * 19, "gap.txt": "a dog\na cat\n\n" + "a dog\n" * 17,
    "many.csv": "source,target\n" + "".join(f"ein Hund {row},a dog {row}\n" for row in range(20)),
    "pairs.csv": "source,target,label\nein Hund,a dog,x\n",
    "empty.txt": "", "empty.csv": "", "blank.txt": " \n\n", "short.txt": "ab",
    "latin.txt": "the café\n".encode("latin-1"),
    "latin.csv": "text,label\nthe café,warm\n".encode("latin-1"),
    "ragged.csv": instead(messages(), 3, "red rose,warm,more"),
    "narrow.csv": instead(messages(), 3, "red rose"),
    "header.csv": "text,label\n",
    "single.csv": "text,label\n" + "hello you,ham\n" * 20,
    "few.csv": "text,label\nred,warm\nsea,cold\n",
    "lacking.csv": instead(messages(), 5, "red rose,"),
    "silent.csv": instead(messages(), 5, " ,warm"),
    "unseen.csv": "text,label\nred,warm\nred,hot\n",
    "word.csv": instead(steps(), 3, "0,abc,1,x"),
    "nan.csv": instead(steps(), 3, "0,nan,1,x"),
    "infinite.csv": instead(steps(), 3, "0,inf,1,x"),
    "two.csv": instead(steps(), 3, "0,1.5,1,y"),
    "wide.ts": "@problemName x\n@univariate true\n@classLabel true a b\n@data\n" + "1,2,3:a\n2,3,x:b\n",
    "close_word.csv": instead(prices(), 9, "2020-01-08,abc,1"),
    "close_gone.csv": instead(prices(), 9, "2020-01-08,,1"),
    "close_nan.csv": instead(prices(), 9, "2020-01-08,NaN,1"),
    "close_inf.csv": instead(prices(), 9, "2020-01-08,-inf,1"),
    "twice.csv": instead(prices(), 9, "2020-01-07,3,1"),
    "someday.csv": instead(prices(), 9, "someday,3,1"),
    "brief.csv": prices(23),
    "mixed.csv": "id,v\n" + "".join(f"{row // 30},{row % 7}\n" for row in range(60)) + "odd,1\nodd,2\n",
    "tagged.tsv": tagged(), "untagged.tsv": tagged().replace("\tDET", "").replace("\tNOUN", "").replace("\tVERB", ""),
    "lone.tsv": instead(tagged(), 5, "the"), "other.tsv": instead(tagged(), 6, "dog\tDOG"),
    "counts.jsonl": '{"words": ["a", "b"], "tags": ["X", "Y"]}\n{"words": ["a", "b"], "tags": ["X"]}\n',
    "comments.conllu": "# sent_id = 1\n\n# sent_id = 2\n", "narrow.conllu": "# text\n1\tdog\tdog\tNOUN\n",
    "untagged.conllu": "1\tdog\tdog\t_\t_\t_\t0\troot\t_\t_\n", "junk.conllu.gz": "junk",
    "own.vec": "red 1 2\nsea 3 4\n", "thin.vec": "red 1 2\nsea 3\n", "odd.vec": "red 1 2\nsea x 3\n",
    "other.vec": "zebra 1 2\n", "short.vec": "3 2\nred 1 2\n", "binary.vec": b"2 2\nred \x00\x01\x02\x03\n",
    "life.csv": life(), "left_word.csv": instead(life(), 3, "0,1,1,soon"),
    "left_inf.csv": instead(life(), 3, "0,1,1,inf"),
    "classes.ts": "@univariate true\n@classLabel true a b\n@data\n1,2:a\n", "junk.wav": "junk", "empty.wav": "",
    "junk.mat": "junk" * 99, "junk.npy": "junk",
    "heard.csv": "file,label\njunk.wav,a\n", "gone.csv": "file,label\ngone.wav,a\n",
    "still.csv": "file,label\nempty.wav,a\n", "slow.wav": silence(8000), "fast.wav": silence(16000),
    "rates.csv": "file,label\nslow.wav,a\nfast.wav,b\n",
    "captions.csv": captions(), "good.png": picture(), "half.png": picture()[:-60], "words.png": "a red square",
    "three.npy": vector(1, 2, 3), "four.npy": vector(1, 2, 3, 4),
    **{f"full/{row}.png": picture(row) for row in range(20)},
    "image_gone.csv": instead(captions(), 4, "nothere.png,x"), "image_half.csv": instead(captions(), 4, "half.png,x"),
    "image_words.csv": instead(captions(), 4, "words.png,x"), "no_caption.csv": instead(captions(), 4, "good.png, "),
    "vectors.csv": "image,caption\nthree.npy,x\nfour.npy,y\n", "no_image.csv": instead(captions(), 4, ",x"),
    "vector_half.csv": "image,caption\nthree.npy,x\nhalf.png,y\n",
    "junk.parquet": "junk", "table.xlsx": "junk", "broken.jsonl": '{"text": "a", "label": "b"}\n{broken\n',
}  # fmt: skip


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file, good and bad, and a run of each task."""
    shelf = tmp_path_factory.mktemp("shelf")
    for name, content in FILES.items():
        (shelf / name).parent.mkdir(exist_ok=True)
        (shelf / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (shelf / "folder").mkdir()
    (shelf / "folder.csv").mkdir()
    (shelf / "taken").mkdir()
    (shelf / "taken" / "mine.txt").write_text("precious")
    options: dict[str, Any] = {"hidden": 4, "epochs": 1, "threads": 1, "baselines": "fast"}
    train("translate", str(shelf / "many.csv"), out=str(shelf / "translate"), **options)
    source = str(shelf / "corpus.txt")
    train("language", source, out=str(shelf / "language"), **options)
    train("classify", str(shelf / "messages.csv"), text="text", label="label", out=str(shelf / "texts"), **options)
    columns = {"channels": "a,b", "id": "id", "label": "label"}
    train("classify", str(shelf / "steps.csv"), out=str(shelf / "steps"), **columns, **options)
    train("tag", str(shelf / "tagged.tsv"), out=str(shelf / "tag"), **options)
    columns = {"image": "image", "text": "caption"} | options
    train("caption", str(shelf / "captions.csv"), out=str(shelf / "caption"), image_size=8, filters=1, **columns)
    options |= {"time": "date", "target": "close", "horizon": 4, "lookback": 12}
    train("forecast", str(shelf / "prices.csv"), out=str(shelf / "forecast"), **options)
    return shelf


@dataclass(frozen=True)
class Failed:
    code: int
    line: str


Fails = Callable[..., Failed]


@pytest.fixture
def fails(shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fails:
    """Run a command that must fail in the shelf: in one line, without a word on stdout or a file left behind."""
    monkeypatch.chdir(shelf)
    monkeypatch.delenv("SERIATIM_DEBUG", raising=False)

    def command(*words: object) -> Failed:
        before = listing(shelf)
        code = run_command([str(word) for word in words])
        said = capsys.readouterr()
        assert code != 0, said.out
        assert said.out == ""
        assert listing(shelf) == before, "nothing is left behind, and nothing is touched"
        *progress, line = said.err.splitlines()
        assert progress == []
        assert line.startswith("seriatim: error: ")
        assert "--debug" not in line, "a failure that nobody foresaw"
        return Failed(code, line.removeprefix("seriatim: error: "))

    return command


def listing(folder: Path) -> dict[str, int]:
    """Every file and when it was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} | {
        str(path): 0 for path in folder.rglob("*") if path.is_dir()
    }


# Data

DATA = [
    (CAPTION, "image_gone.csv", PICTURES, "image_gone.csv: line 4, column 'image': nothere.png: no such file"),
    (CAPTION, "image_half.csv", PICTURES, "image_half.csv: line 4, column 'image': half.png: broken image: "),
    (CAPTION, "image_words.csv", PICTURES, "image_words.csv: line 4, column 'image': words.png: not an image"),
    (CAPTION, "no_caption.csv", PICTURES, "no_caption.csv: line 4, column 'caption': empty caption"),
    (CAPTION, "no_image.csv", PICTURES, "no_image.csv: line 4, column 'image': no image"),
    (CAPTION, "vectors.csv", FEATURES, "line 3, column 'image': vectors of 4 numbers, wanted 3 as in the first row"),
    (CAPTION, "vector_half.csv", FEATURES, "line 3, column 'image': half.png: not a .npy file of numbers that can"),
    (CAPTION, "captions.csv", (*PICTURES, "--test", "image_gone.csv"), "image_gone.csv: line 4, column 'image'"),
    (REGRESS, "life.csv", TARGET, "line 3, column 'left': 2, but 3 before in the same sequence; --every-step"),
    (REGRESS, "left_word.csv", TARGET, "left_word.csv: line 3, column 'left': 'soon' is not a number"),
    (REGRESS, "left_inf.csv", (*TARGET, "--every-step"), "left_inf.csv: line 3, column 'left': 'inf' is not finite"),
    (REGRESS, "messages.csv", ("--text", "text", "--target", "label"), "column 'label': 'warm' is not a number"),
    (REGRESS, "classes.ts", (), "classes.ts: line 2: a class is not a number, wanted @targetLabel"),
    (CLASSIFY, "heard.csv", SOUND, "heard.csv: line 2, column 'file': junk.wav: not a sound file that can be read"),
    (CLASSIFY, "gone.csv", SOUND, "gone.csv: line 2, column 'file': gone.wav: no such file"),
    (CLASSIFY, "rates.csv", SOUND, "rates.csv: line 3, column 'file': fast.wav has 16000 samples per second, but slow"),
    (CLASSIFY, "still.csv", SOUND, "still.csv: line 2, column 'file': empty.wav: is empty"),
    (LANGUAGE, "junk.mat", ROLL, "junk.mat: not a MATLAB file that can be read"),
    (LANGUAGE, "junk.npy", ROLL, "junk.npy: not a .npy file of numbers that can be read"),
    (LANGUAGE, "nothere.txt", (), "nothere.txt: no such file, nor a bundled set of that name"),
    (LANGUAGE, "shakespear", (), "(did you mean 'shakespeare'?)"),
    (LANGUAGE, "empty.txt", (), "empty.txt: is empty"),
    (LANGUAGE, "blank.txt", (), "blank.txt: holds nothing but white space"),
    (LANGUAGE, "folder", (), "folder: is a directory, wanted a file"),
    (LANGUAGE, "latin.txt", (), "latin.txt: not UTF-8: byte 0xe9 at offset 7 (line 1)"),
    (LANGUAGE, "short.txt", (), "train part: 1 char units, wanted at least 2: too little text"),
    (LANGUAGE, "corpus.txt", ("--valid", "nothere.txt"), "nothere.txt: no such file"),
    (LANGUAGE, "corpus.txt", ("--test", "latin.txt"), "latin.txt: not UTF-8: byte 0xe9"),
    (CLASSIFY, "latin.csv", TEXTS, "latin.csv: not UTF-8: byte 0xe9 at offset 18 (line 2)"),
    (CLASSIFY, "ragged.csv", TEXTS, "ragged.csv: line 3: 3 cells, wanted 2"),
    (CLASSIFY, "narrow.csv", TEXTS, "narrow.csv: line 3: 1 cells, wanted 2"),
    (CLASSIFY, "header.csv", TEXTS, "header.csv: holds a header but no rows"),
    (CLASSIFY, "empty.csv", TEXTS, "empty.csv: is empty"),
    (CLASSIFY, "folder.csv", TEXTS, "folder.csv: is a directory"),
    (CLASSIFY, "single.csv", TEXTS, "label: a single class 'ham' in the training part, wanted at least 2"),
    (CLASSIFY, "few.csv", TEXTS, "valid part: no sequences; too little data"),
    (CLASSIFY, "lacking.csv", TEXTS, "lacking.csv: line 5, column 'label': no label"),
    (CLASSIFY, "silent.csv", TEXTS, "silent.csv: line 5, column 'text': empty text"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--test", "unseen.csv"),
     "unseen.csv line 3: label 'hot' is in the test part but not in the training part"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--valid", "ragged.csv"), "ragged.csv: line 3: 3 cells, wanted 2"),
    (CLASSIFY, "word.csv", STEPS, "word.csv: line 3, column 'a': 'abc' is not a number"),
    (CLASSIFY, "nan.csv", STEPS, "nan.csv: line 3, column 'a': missing value"),
    (CLASSIFY, "infinite.csv", STEPS, "infinite.csv: line 3, column 'a': 'inf' is not finite"),
    (CLASSIFY, "two.csv", STEPS, "two.csv: line 3, column 'label': 'y', but 'x' before in the same sequence"),
    (CLASSIFY, "messages.csv", ("--channels", "text", "--id", "label", "--label", "label"), "line 2, column 'text'"),
    (CLASSIFY, "wide.ts", (), "wide.ts: line 6: dimension 1: 'x' is not a number"),
    (CLASSIFY, "junk.parquet", TEXTS, "junk.parquet: not a Parquet file"),
    (CLASSIFY, "broken.jsonl", TEXTS, "broken.jsonl: line 2: not JSON"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "thin.vec"), "thin.vec line 2: 1 numbers, wanted 2"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "odd.vec"), "odd.vec line 2: 'x' is not a finite number"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "other.vec"), "other.vec: none of the "),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "short.vec"), "short.vec: 1 vectors, but its first line says 3"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "binary.vec"), "binary.vec line 2: holds binary data"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "empty.txt"), "empty.txt: is empty"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "nothere.vec"), "nothere.vec: No such file"),
    (TRANSLATE, "one.txt", ("two.txt",), "two.txt: 19 lines, wanted 20 as in one.txt: line N of one belongs to line N"),
    (TRANSLATE, "one.txt", ("gap.txt",), "gap.txt: line 3 is empty"),
    (TRANSLATE, "one.txt", ("nothere.txt",), "nothere.txt: no such file"),
    (TRANSLATE, "one.txt", ("one.txt", "--test", "one.txt,two.txt"), "two.txt: 19 lines, wanted 20"),
    (TRANSLATE, "pairs.csv", ("--target", "label"), "valid part: no pairs; too little data"),
    (TRANSLATE, "lacking.csv", COLUMN_PAIR, "lacking.csv: line 5, column 'label': no text"),
    (TRANSLATE, "silent.csv", COLUMN_PAIR, "silent.csv: line 5, column 'text': empty text"),
    (TAG, "untagged.tsv", (), "untagged.tsv: line 1: one column ('the'), wanted a word and its tag"),
    (TAG, "lone.tsv", (), "lone.tsv: line 5: one column ('the'), wanted a word and its tag"),
    (TAG, "counts.jsonl", (), "counts.jsonl: line 2: 2 words, but 1 tag"),
    (TAG, "broken.jsonl", (), "broken.jsonl: line 1: no 'words' (known: text, label)"),
    (TAG, "comments.conllu", (), "comments.conllu: no sentences"),
    (TAG, "narrow.conllu", (), "narrow.conllu: line 2: 4 columns, wanted 10 separated by tabs (CoNLL-U)"),
    (TAG, "untagged.conllu", (), "untagged.conllu: line 1: word 'dog' has no tag"),
    (TAG, "junk.conllu.gz", (), "junk.conllu.gz: not a gzip file that can be read"),
    (TAG, "empty.txt", (), "empty.txt: is empty"),
    (TAG, "tagged.tsv", ("--test", "other.tsv"),
     "other.tsv line 6: tag 'DOG' is in the test part but not in the training part"),
    (TAG, "tagged.tsv", ("--valid", "lone.tsv"), "lone.tsv: line 5: one column"),
    (FORECAST, "close_word.csv", CLOSE, "close_word.csv: line 9, column 'close': 'abc' is not a number"),
    (FORECAST, "close_gone.csv", CLOSE, "line 9, column 'close': missing value, 1 in all; use --missing interpolate"),
    (FORECAST, "close_nan.csv", CLOSE, "close_nan.csv: line 9, column 'close': missing value"),
    (FORECAST, "close_inf.csv", CLOSE, "close_inf.csv: line 9, column 'close': '-inf' is not finite"),
    (FORECAST, "close_inf.csv", (*CLOSE, "--missing", "mask"), "'-inf' is not finite"),
    (FORECAST, "twice.csv", CLOSE, "twice.csv: line 9, column 'date': 2020-01-07 occurs twice"),
    (FORECAST, "someday.csv", CLOSE, "someday.csv: line 9, column 'date': 'someday' is not a date or a number"),
    (FORECAST, "brief.csv", CLOSE, "series '1': 23 rows, wanted at least 24 (lookback 12 + horizon 4"),
    (FORECAST, "mixed.csv", ("--target", "v", "--id", "id", "--horizon", "3"), "series 'odd': 2 rows, wanted at least"),
    (FORECAST, "prices.csv", (*CLOSE, "--covariates", "date"), "line 2, column 'date': '2020-01-01' is not a number"),
    (FORECAST, "prices.csv", (*CLOSE, "--split", "500,10,10"), "series '1': 60 rows, but --split wants 520"),
    (FORECAST, "prices.csv", (*CLOSE, "--split", "30,2,10"), "split: 2 rows of valid, wanted at least the horizon"),
    (FORECAST, "prices.csv", ("--target", "1", "--no-header"), "line 1, column '1': 'date' is not a number"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "file", "options", "said"), DATA)
def test_data_that_cannot_be_used(
    fails: Fails, command: tuple[str, ...], file: str, options: tuple[str, ...], said: str
) -> None:
    failed = fails(*command, file, *options, *QUICK)
    assert said in failed.line
    assert failed.code == 1


# Words

COLUMNS = [
    (TRANSLATE, "many.csv", ("--teacher-forcing", "2"), "teacher_forcing: got 2.0, wanted at most 1"),
    (CAPTION, "captions.csv", ("--text", "caption"), "image: name the column of the images, or --features"),
    (CAPTION, "captions.csv", ("--image", "image"), "text: name the column of the captions"),
    (CAPTION, "captions.csv", ("--image", "imge", "--text", "caption"), "no column 'imge' (did you mean 'image'?)"),
    (CAPTION, "captions.csv", (*PICTURES, "--features", "image"), "image: give either --image or --features, not both"),
    (CAPTION, "captions.csv", (*PICTURES, "--image-size", "4"), "--image-size: got 4, wanted at least 8"),
    (CAPTION, "captions.csv", (*PICTURES, "--bidirectional"), "bidirectional: "),
    (CAPTION, "captions.csv", (*PICTURES, "--n-best", "5"), "n_best: got 5, wanted at most the beam's size"),
    (CAPTION, "captions.csv", (*PICTURES, "--model", "transformer"), "--model: 'transformer' is not one of"),
    (CLASSIFY, "messages.csv", ("--text", "txt", "--label", "label"), "no column 'txt' (did you mean 'text'?)"),
    (CLASSIFY, "messages.csv", ("--text", "text", "--label", "lable"), "no column 'lable' (did you mean 'label'?)"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--group", "xyz"), "no column 'xyz' (known: text, label)"),
    (CLASSIFY, "steps.csv", ("--channels", "a,c", "--id", "id", "--label", "label"), "no column 'c'"),
    (CLASSIFY, "messages.csv", ("--label", "label"), "text: name the column of the text or sound, or"),
    (CLASSIFY, "messages.csv", ("--text", "text"), "label: name the column of the label"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--channels", "a"), "give either --text or --channels, not both"),
    (CLASSIFY, "steps.csv", ("--channels", "a,b", "--label", "label"), "id: --channels needs --id"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--sound", "text"), "text: give either --text or --sound, not both"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--sample-rate", "8000"), "sample_rate: for --sound"),
    (CLASSIFY, "heard.csv", (*SOUND, "--sample-rate", "8000", "--frame", "0.1"), "frame, hop, mels: frames of 0.1 ms"),
    (REGRESS, "life.csv", ("--channels", "a", "--id", "id"), "target: name the column of the target"),
    (REGRESS, "life.csv", (*TARGET[:4], "--target", "lft"), "no column 'lft' (did you mean 'left'?)"),
    (REGRESS, "messages.csv", ("--text", "text", "--every-step"), "every_step: for --channels with --id"),
    (LANGUAGE, "corpus.txt", ROLL, "corpus.txt: a piano roll is a .mat or a .npy file"),
    (LANGUAGE, "junk.mat", (*ROLL, "--tie"), "tie: for units of text, not --unit roll"),
    (LANGUAGE, "junk.mat", (*ROLL, "--model", "window"), "model: 'window' reads one unit a step"),
    (CLASSIFY, "table.xlsx", TEXTS, "table.xlsx: unknown extension for a table"),
    (TRANSLATE, "pairs.csv", ("--source", "sorce"), "no column 'sorce' (did you mean 'source'?)"),
    (TRANSLATE, "messages.csv", (), "messages.csv: no column 'source'"),
    (TRANSLATE, "pairs.csv", ("--source-file", "one.txt"), "source_file, target_file: give both, or a table as DATA"),
    (
        TRANSLATE, "pairs.csv", ("--source-file", "one.txt", "--target-file", "one.txt"),
        "data: give either DATA, or source_file and target_file, not both",
    ),
    (TRANSLATE, "one.txt", ("one.txt", "one.txt"), "data: 3 files, wanted a table or two files, the source's"),
    (TRANSLATE, "one.txt", (), "one.txt: unknown extension for a table"),
    (TRANSLATE, "pairs.csv", ("--n-best", "9"), "n_best: got 9, wanted at most the beam's size (4, --beam-size)"),
    (TRANSLATE, "pairs.csv", ("--attention", "dots"), "--attention: 'dots' is not one of none, dot, general"),
    (FORECAST, "prices.csv", ("--target", "clse"), "prices.csv: no column 'clse' (did you mean 'close'?)"),
    (FORECAST, "prices.csv", ("--target", "close", "--time", "dat"), "no column 'dat' (did you mean 'date'?)"),
    (FORECAST, "prices.csv", ("--target", "close", "--covariates", "opn"), "no column 'opn' (did you mean 'open'?)"),
    (FORECAST, "prices.csv", ("--horizon", "4"), "target: name the column or columns to forecast"),
    (FORECAST, "prices.csv", (*CLOSE, "--covariates", "close"), "covariates: 'close' is a target as well"),
    (FORECAST, "prices.csv", (*CLOSE, "--bidirectional"), "bidirectional: a forecaster must not see"),
    (FORECAST, "prices.csv", (*CLOSE, "--test", "prices.csv"), "valid, test: a forecast is split in time"),
    (FORECAST, "prices.csv", (*CLOSE, "--split", "30,10"), "split: got 2 numbers, wanted rows of train,valid,test"),
    (FORECAST, "prices.csv", (*CLOSE, "--split", "30,10,10", "--origins", "3"), "origins: --split already rolls"),
    (FORECAST, "prices.csv", (*CLOSE, "--split", "30,-10,10"), "--split: got -10, wanted at least 1"),
    (FORECAST, "prices.csv", (*CLOSE, "--missing", "fill"), "--missing: 'fill' is not one of error, interpolate, mask"),
    (LANGUAGE, "corpus.txt", ("--bidirectional",), "bidirectional: a language model must not see what it predicts"),
    (LANGUAGE, "corpus.txt", ("--order", "9"), "order: got 9, wanted at most 8"),
    (LANGUAGE, "corpus.txt", ("--tie", "--model", "cbow"), "tie: for networks, not cbow"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--freeze-vectors"), "freeze_vectors: needs --vectors"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "own.vec", "--embedding", "7"),
     "embedding: got 7, but the vectors of "),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "own.vec", "--model", "majority"),
     "vectors: for networks, not majority"),
    (CLASSIFY, "messages.csv", (*TEXTS, "--vectors", "own.vec", "--unit", "char"),
     "vectors: for texts read word by word, not --unit char"),
    (CLASSIFY, "steps.csv", (*STEPS, "--vectors", "cbow"), "vectors: for texts read word by word, not numbers"),
    (LANGUAGE, "corpus.txt", ("--vectors", "cbow"), "vectors: for texts read word by word, not --unit char"),
    (LANGUAGE, "corpus.txt", ("--tie", "--embedding", "7"), "embedding: got 7, but --tie wants it as wide"),
    (LANGUAGE, "corpus.txt", ("--activation", "relu"), "activation: for rnn, not lstm"),
    (LANGUAGE, "corpus.txt", ("--forget-bias", "2", "--model", "gru"), "for lstm, minlstm, slstm, not gru"),
    (LANGUAGE, "corpus.txt", ("--kernel", "5"), "kernel: for cnn, not lstm"),
    (LANGUAGE, "corpus.txt", ("--heads", "2", "--model", "cnn"), "heads: for transformer, not cnn"),
    (LANGUAGE, "corpus.txt", ("--forget-bias", "2", "--model", "transformer"), "forget_bias: for lstm"),
    (LANGUAGE, "corpus.txt", ("--model", "transformer", "--hidden", "50"), "heads: got 4 for 50 hidden units"),
    (
        LANGUAGE,
        "corpus.txt",
        ("--model", "transformer", "--heads", "1", "--positions", "sinusoidal"),
        "positions: sinusoidal counts",
    ),
    (LANGUAGE, "corpus.txt", ("--model", "mlp"), "--model: 'mlp' is not one of"),
    (FORECAST, "prices.csv", (*CLOSE, "--model", "mlp", "--strategy", "recursive"), "strategy: recursive goes on from"),
    (LANGUAGE, "corpus.txt", ("--unit", "bpe", "--vocab-size", "99"), "vocab_size: got 99, wanted at least 257"),
    (LANGUAGE, "corpus.txt", ("--unit", "chra"), "is not one of char, word, bpe, roll (did you mean 'char'?)"),
    (LANGUAGE, "corpus.txt", ("--model", "ltsm"), "--model: 'ltsm' is not one of"),
    (LANGUAGE, "corpus.txt", ("--model", "ltsm"), "(did you mean 'lstm'?)"),
    (LANGUAGE, "corpus.txt", ("--hiden", "4"), "no option '--hiden' (did you mean '--hidden'?)"),
    (LANGUAGE, "corpus.txt", ("--resume",), "resume: needs --out"),
    (LANGUAGE, "corpus.txt", ("--out", "corpus.txt"), "out: 'corpus.txt' is a file, wanted a folder"),
    (LANGUAGE, "corpus.txt", ("--out", "taken"), "out: 'taken' is not empty; give another folder, or --resume"),
    (TAG, "tagged.tsv", ("--column", "3"), "column: no column '3' in tagged.tsv, wanted a number from 1 to 2"),
    (TAG, "untagged.conllu", ("--column", "upso"), "no column 'upso' in CoNLL-U (did you mean 'upos'?)"),
    (TAG, "messages.csv", (), "messages.csv: unknown extension for tagged sentences"),
    (("train", "langauge"), "corpus.txt", (), "no task 'langauge' (did you mean 'language'?)"),
    (("trian",), "corpus.txt", (), "no command 'trian' (did you mean 'train'?)"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "file", "options", "said"), COLUMNS)
def test_words_that_do_not_fit(
    fails: Fails, command: tuple[str, ...], file: str, options: tuple[str, ...], said: str
) -> None:
    failed = fails(*command, file, *QUICK, *options)
    assert said in failed.line
    assert failed.code == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (option, value)
        for option, values in {
            "--lr": ("nan", "inf", "0", "-1", "fast"), "--dropout": ("nan", "1", "-0.1"),
            "--clip": ("nan", "inf", "-1"), "--weight-decay": ("inf", "-1"), "--forget-bias": ("nan", "-inf"),
            "--epochs": ("0", "-1", "1.5", "nan"), "--batch-size": ("0", "-8", "1e3"), "--hidden": ("0", "-4", "x"),
            "--layers": ("0",), "--seed": ("-1", "99999999999999999999"), "--threads": ("0",), "--patience": ("0",),
            "--truncation": ("0",), "--checkpoint-every": ("0",), "--context": ("0",), "--vocab-size": ("1",),
            "--time-limit": ("0", "5x", "-1m", "nan"), "--embedding": ("0",), "--restart": ("1",),
        }.items()
        for value in values
    ],
)  # fmt: skip
def test_numbers_out_of_range(fails: Fails, option: str, value: str) -> None:
    words = {option: value, "--epochs": "1", "--hidden": "4"} | {option: value}
    failed = fails(*LANGUAGE, "corpus.txt", *(word for pair in words.items() for word in pair))
    assert failed.line.startswith(f"{option}: got ")
    assert failed.code == 2


def test_a_schedule_with_an_end_needs_one_before_anything_is_written(fails: Fails) -> None:
    failed = fails(*LANGUAGE, "corpus.txt", "--hidden", 4, "--time-limit", 1, "--schedule", "cosine")
    assert (failed.code, failed.line) == (2, "schedule: 'cosine' needs --epochs, which says where it ends")


# Runs and the data they are given

GIVEN = [
    ("caption", "image_half.csv", "line 4, column 'image': half.png: broken image"),
    ("caption", "messages.csv", "no column 'image'"),
    ("translate", "messages.csv", "no column 'source'"),
    ("texts", "steps.csv", "no column 'text'"),
    ("steps", "messages.csv", "no column 'a'"),
    ("language", "latin.txt", "latin.txt: not UTF-8"),
    ("language", "empty.txt", "empty.txt: is empty"),
    ("texts", "nothere.csv", "nothere.csv: no such file"),
    ("texts", "wide.ts", "line 6"),
    ("forecast", "messages.csv", "no column 'close'"),
    ("tag", "narrow.conllu", "narrow.conllu: line 2: 4 columns"),
    ("tag", "nothere.tsv", "nothere.tsv: no such file"),
    ("forecast", "nothere.csv", "nothere.csv: no such file"),
    ("forecast", "folder.csv", "folder.csv: is a directory"),
]


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize(("run", "data", "said"), GIVEN)
def test_data_that_a_run_cannot_read(fails: Fails, verb: str, run: str, data: str, said: str) -> None:
    failed = fails(verb, run, data)
    assert said in failed.line
    assert failed.code == (2 if "no column" in said else 1)


def test_text_for_a_run_that_reads_numbers_and_numbers_for_one_that_reads_text(shelf: Path, fails: Fails) -> None:
    (shelf / "three.ts").write_text("@classLabel true warm cold\n@data\n1,2:3,4:5,6:warm\n1,2:3,4:5,6:cold\n")
    assert "got numeric sequences (3 channels), but the model reads" in fails("evaluate", "texts", "three.ts").line
    assert "got 3 channels, but the model reads sequences of 2" in fails("predict", "steps", "three.ts").line
    (shelf / "three.ts").unlink()


@pytest.mark.parametrize("run", ["steps", "forecast"])
def test_lines_of_text_on_standard_input(
    run: str, fails: Fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "piped").write_bytes(b"some words\nmore words\n")
    with (tmp_path / "piped").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        failed = fails("predict", run, "-", "--format", "txt")
    assert "texts" in failed.line or "reads tables" in failed.line


def test_too_short_a_series_to_go_on_from(shelf: Path, fails: Fails) -> None:
    (shelf / "stub.csv").write_text(prices(11))
    assert "series '1': 11 rows, wanted at least the lookback of 12" in fails("predict", "forecast", "stub.csv").line
    assert "series '1': 11 rows, wanted at least 16" in fails("evaluate", "forecast", "stub.csv").line
    (shelf / "stub.csv").unlink()


def test_unseen_labels_in_new_data(fails: Fails) -> None:
    failed = fails("evaluate", "texts", "unseen.csv")
    assert failed == Failed(1, "unseen.csv line 3: label 'hot' is in the new data but not in the training part")


def test_only_language_writes(fails: Fails) -> None:
    assert fails("generate", "texts").code == 2


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_failed_prediction_leaves_no_file(fails: Fails, verb: str) -> None:
    output = ("-o", "out.csv") if verb == "predict" else ()
    assert fails(verb, "steps", "infinite.csv", *output).code == 1


# Run folders


def damaged(shelf: Path, tmp_path: Path, run: str, file: str, content: bytes | None) -> Path:
    """A copy of a run with other content in one file, or without it."""
    copy = tmp_path / "copy"
    shutil.copytree(shelf / run, copy)
    if content is None:
        (copy / file).unlink()
    else:
        (copy / file).write_bytes(content)
    return copy


def half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "truncated": half, "emptied": lambda raw: b"", "junk": lambda raw: b"\x00\xff junk", "gone": lambda raw: None,
    "an object": lambda raw: b"{}", "a list": lambda raw: b"[]", "null": lambda raw: b"null",
}  # fmt: skip
READ = {
    "language": ("config.json", "vocabulary.json", "model.safetensors", "result.json"),
    "texts": ("config.json", "vocabulary.json", "model.safetensors", "result.json"),
    "translate": ("vocabulary.json", "model.safetensors"),
    "steps": ("config.json", "scaler.json", "model.safetensors", "result.json"),
    "forecast": ("config.json", "scaler.json", "model.safetensors", "result.json", "baselines/ar.safetensors"),
}
SOURCE = {"language": "corpus.txt", "texts": "messages.csv", "steps": "steps.csv", "forecast": "prices.csv",
          "translate": "many.csv", "tag": "tagged.tsv"}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("run", "file"), [(run, file) for run, files in READ.items() for file in files])
def test_a_damaged_run_folder(shelf: Path, tmp_path: Path, fails: Fails, run: str, file: str, damage: str) -> None:
    copy = damaged(shelf, tmp_path, run, file, DAMAGES[damage]((shelf / run / file).read_bytes()))
    if damage == "gone" and file.startswith("baselines"):
        assert "ar" not in load(copy).evaluate(shelf / "prices.csv")["baselines"]
        return
    before = listing(copy)
    failed = fails("evaluate", copy, SOURCE[run])
    assert failed.code == 1
    assert str(copy) in failed.line
    assert file.removesuffix(".json") in failed.line or damage == "gone"
    if file == "result.json":
        assert fails("compare", copy, run).code == 1
    else:
        assert fails("evaluate", copy).code == 1
    assert listing(copy) == before


def test_a_damaged_checkpoint_is_told_on_resume(shelf: Path, tmp_path: Path, fails: Fails) -> None:
    file = "checkpoint/state.safetensors"
    copy = damaged(shelf, tmp_path, "language", file, half((shelf / "language" / file).read_bytes()))
    (copy / "result.json").unlink()
    words = ["--epochs", 1, "--hidden", 4, "--baselines", "fast", "--out", copy, "--resume", "--quiet"]
    failed = fails(*LANGUAGE, "corpus.txt", *words)
    assert failed.code == 1
    assert f"{copy / file}: damaged" in failed.line


@pytest.mark.parametrize("word", ["corpus.txt", "folder", "taken", "nothere"])
def test_what_is_no_run_folder(fails: Fails, word: str) -> None:
    for words in (("evaluate", word), ("predict", word, "corpus.txt"), ("generate", word), ("compare", word, "texts")):
        failed = fails(*words)
        assert failed.code == 1
        assert failed.line.startswith(f"{word}: no ")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2, "seriatim": "9.9"}, "format 2, but seriatim"),
        ({"format": 2, "seriatim": "9.9"}, "it was written by seriatim 9.9: upgrade"),
        ({"format": "one"}, "no format number, so this is not a run folder"),
        ({"colour": "red"}, "config.json: unknown key 'colour'"),
        ({"optoins": {}}, "unknown key 'optoins' (did you mean 'options'?)"),
        ({"task": "tasting"}, "no task 'tasting'"),
        ({"task": ["classify"]}, "damaged ('task' is ['classify'])"),
        ({"options": {"hiden": 4}}, "no option 'hiden' (did you mean 'hidden'?)"),
        ({"options": {"hidden": -4}}, "hidden: got -4, wanted at least 1"),
        ({"options": []}, "damaged ('options' is [])"),
        ({"data": {}}, "damaged (no 'source')"),
        ({"notes": None}, "damaged ('notes' is None)"),
    ],
)
def test_a_config_from_elsewhere(shelf: Path, tmp_path: Path, fails: Fails, changes: dict[str, Any], said: str) -> None:
    config = json.loads((shelf / "texts" / "config.json").read_text())
    copy = damaged(shelf, tmp_path, "texts", "config.json", json.dumps(config | changes).encode())
    failed = fails("evaluate", copy, "messages.csv")
    assert failed.code == 1
    assert said in failed.line


@pytest.mark.parametrize("run", ["language", "texts", "forecast", "tag"])
@pytest.mark.parametrize("change", ["wider", "lacking", "more"])
def test_weights_that_do_not_fit_the_options(shelf: Path, tmp_path: Path, fails: Fails, run: str, change: str) -> None:
    arrays = read_arrays(shelf / run / "model.safetensors")
    name = next(name for name in arrays if "weight_ih" in name)
    changed = {
        "wider": {**arrays, name: np.zeros((3, 3), np.float32)},
        "lacking": {key: array for key, array in arrays.items() if key != name},
        "more": {**arrays, "surprise": np.zeros(3, np.float32)},
    }[change]
    copy = damaged(shelf, tmp_path, run, "model.safetensors", safetensors.numpy.save(changed))
    failed = fails("predict", copy, SOURCE[run])
    assert failed.code == 1
    assert "model.safetensors: does not fit the run's options" in failed.line


@pytest.mark.parametrize("change", ["lacking", "wider"])
@pytest.mark.parametrize("model", ["markov", "ar", "majority", "most_frequent_tag"])
def test_baselines_that_do_not_fit(shelf: Path, tmp_path: Path, fails: Fails, model: str, change: str) -> None:
    run = {"markov": "language", "ar": "forecast", "majority": "texts", "most_frequent_tag": "tag"}[model]
    file = f"baselines/{model}.safetensors"
    arrays = read_arrays(shelf / run / file)
    name = next(iter(arrays))
    arrays[name] = np.zeros((2, 3, 4, 5))
    if change == "lacking":
        del arrays[name]
    copy = damaged(shelf, tmp_path, run, file, safetensors.numpy.save(arrays))
    failed = fails("evaluate", copy, SOURCE[run])
    assert failed.code == 1
    assert f"{model}.safetensors: does not fit the run's options" in failed.line


# The disk


@pytest.mark.parametrize("nth", [1, 2, 3, 5])
def test_a_full_disk(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    """The ``nth`` file that is written does not fit: it is named, and no half of it stays."""
    count = 0

    def fsync(number: int) -> None:
        nonlocal count
        count += 1
        if count >= nth:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    out = tmp_path / "run"
    words = [*CLASSIFY, shelf / "messages.csv", *TEXTS, *QUICK, "--quiet", "--out", out]
    code = run_command([str(word) for word in words])
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    assert line.startswith(f"seriatim: error: {out}{os.sep}")
    assert line.endswith("cannot be written (No space left on device); nothing was changed")
    there = [path for path in out.rglob("*") if path.is_file()]
    assert len(there) == nth - 1
    assert not [path for path in there if path.name.endswith(".part")]
    monkeypatch.undo()
    again = train("classify", str(shelf / "messages.csv"), text="text", label="label", out=str(out), resume=True,
                  epochs=1, hidden=4, baselines="none", threads=1)  # fmt: skip
    assert again.result["scores"]


def test_a_full_disk_keeps_the_predictions_that_were_there(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "out.csv").write_text("before")
    monkeypatch.setattr(os, "fsync", fsync)
    words = ("predict", shelf / "texts", shelf / "messages.csv", "-o", tmp_path / "out.csv")
    assert run_command([str(word) for word in words]) == 1
    assert f"{tmp_path}/out.csv: cannot be written (No space left on device)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"


def test_a_place_that_cannot_be_written(fails: Fails) -> None:
    failed = fails(*LANGUAGE, "corpus.txt", *QUICK, "--out", "corpus.txt/run")
    assert failed.code == 1
    assert failed.line.startswith("corpus.txt/run/config.json: cannot be written (Not a directory)")
    assert "taken/mine.txt/x.csv: cannot be written" in fails(
        "predict", "texts", "messages.csv", "-o", "taken/mine.txt/x.csv"
    ).line  # fmt: skip


# Training that cannot go on


@pytest.mark.parametrize(
    ("words", "data"),
    [
        ((*LANGUAGE, "corpus.txt", "--model", "rnn", "--activation", "relu"), "corpus.txt"),
        ((*FORECAST, "prices.csv", *CLOSE, "--model", "rnn", "--activation", "relu"), "prices.csv"),
    ],
)
def test_a_loss_that_is_not_finite(
    shelf: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    data: str,
) -> None:
    monkeypatch.chdir(shelf)
    out = tmp_path / "run"
    words += ("--hidden", "4", "--optimizer", "sgd", "--clip", "0", "--lr", "9e9", "--epochs", "60", "--threads", "1")
    words += ("--baselines", "none", "--quiet", "--out", str(out))
    code = run_command([str(word) for word in words])
    said = capsys.readouterr()
    assert (code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    assert " at step " in line and "training stopped" in line and "try a lower --lr (now 9e+09)" in line
    run = load(out)
    weights = read_arrays(out / "model.safetensors")
    assert weights and all(np.isfinite(array).all() for array in weights.values())
    assert list(run.predict(data))
    assert not list(out.rglob("*.part"))


def test_a_forecast_that_exploded_has_no_score_and_no_traceback(
    shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finite weights can still give forecasts beyond all numbers; JSON has no word for such a score."""
    exploded = {"mase": float("inf"), "rmse": float("nan"), "mae": 1.0}
    monkeypatch.setattr("seriatim.tasks.forecast.Forecast.score", lambda *given: exploded)
    words = (*FORECAST, shelf / "prices.csv", *CLOSE, *QUICK[:4], "--quiet", "--json", "--out", tmp_path / "run")
    assert run_command([str(word) for word in words]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["scores"] == {"mae": 1.0}
    assert load(tmp_path / "run").verdict() == "lstm has no mase to compare"
