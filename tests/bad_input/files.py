"""Small good files of each task, a run of each task trained on them, and the type of the fixture ``failure_of``."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soundfile
from PIL import Image

QUICK = ("--epochs", "1", "--hidden", "4", "--baselines", "none", "--threads", "1")


@dataclass(frozen=True)
class Failure:
    """The exit code and the error line of a command."""

    code: int
    line: str


Check = Callable[..., Failure]
"""Runs a command that must fail."""


def corpus() -> str:
    return "the cat sees the sun.\nthe dog likes the sea.\n" * 60


def messages() -> str:
    draw = random.Random(0)
    words = {"warm": ("red", "rose", "fire"), "cold": ("sea", "sky", "blue")}
    return "text,label\n" + "".join(
        f"{' '.join(draw.choices(words[label], k=3))} {row},{label}\n" for row in range(20) for label in words
    )


def steps() -> str:
    """Twenty sequences of four steps."""
    return "id,a,b,label\n" + "".join(f"{row // 4},{row}.5,{row % 7},{'xy'[row // 4 % 2]}\n" for row in range(80))


def life() -> str:
    """Twenty engines of four steps, with the number of remaining steps."""
    return "id,a,b,left\n" + "".join(f"{row // 4},{row}.5,{row % 7},{3 - row % 4}\n" for row in range(80))


def prices(rows: int = 60) -> str:
    days = np.datetime64("2020-01-01") + np.arange(rows)
    return "date,close,open\n" + "".join(f"{day},{10 + row % 6}.25,{row}\n" for row, day in enumerate(days))


def tagged() -> str:
    """Twenty sentences of three words, four lines each."""
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


def replace_line(text: str, line: int, content: str) -> str:
    """Replace line number ``line`` (from 1) by ``content``."""
    lines = text.splitlines()
    lines[line - 1] = content
    return "\n".join(lines) + "\n"


FILES: dict[str, str | bytes] = {
    "corpus.txt": corpus(),
    "messages.csv": messages(),
    "steps.csv": steps(),
    "prices.csv": prices(),
    "many.csv": "source,target\n" + "".join(f"ein Hund {row},a dog {row}\n" for row in range(20)),
    "tagged.tsv": tagged(),
    "captions.csv": captions(),
    "good.png": picture(),
    **{f"full/{row}.png": picture(row) for row in range(20)},
    "empty.txt": "",
    "latin.txt": "the café\n".encode("latin-1"),
    "lacking.csv": replace_line(messages(), 5, "red rose,"),
    "silent.csv": replace_line(messages(), 5, " ,warm"),
    "unseen.csv": "text,label\nred,warm\nred,hot\n",
    "novel.csv": "text,label\nred,hot\nsea,icy\n",
    "infinite.csv": replace_line(steps(), 3, "0,inf,1,x"),
    "wide.ts": "@problemName x\n@univariate true\n@classLabel true a b\n@data\n" + "1,2,3:a\n2,3,x:b\n",
    "narrow.conllu": "# text\n1\tdog\tdog\tNOUN\n",
    "half.png": picture()[:-60],
    "image_half.csv": replace_line(captions(), 4, "half.png,x"),
    "broken.jsonl": '{"text": "a", "label": "b"}\n{broken\n',
}
"""The good files, and the bad ones that several tests use."""
