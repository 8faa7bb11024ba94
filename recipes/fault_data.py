"""Data of ``planted_faults.py``, with and without faults in them.

``kind`` is A or B for development data, and C for held-out data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np


def text(folder: Path, *, kind: str, seed: int, period: int = 0, shuffled: bool = False, length: int = 16_000) -> Path:
    """A text over eight letters."""
    generator = np.random.default_rng(seed)
    if period or kind == "A":
        period = period or int(generator.integers(6, 10))
        letters = list(generator.integers(0, 8, period))
        for step in range(period, length):
            letters.append(int(generator.integers(0, 8)) if generator.random() < 0.05 else letters[step - period])
    else:
        chances = generator.dirichlet(np.full(8, 0.15), (8, 8))
        if kind == "C":
            chances[:] = chances[:, :1]
        letters = [0, 1]
        for _ in range(length - 2):
            letters.append(int(generator.choice(8, p=chances[letters[-2], letters[-1]])))
    if shuffled:
        generator.shuffle(letters)
    file = folder / "text.txt"
    file.write_text("".join("abcdefgh"[letter] for letter in letters), encoding="utf-8")
    return file


def series(
    folder: Path, *, kind: str, seed: int, leak: bool = False, constant: bool = False, shuffled: bool = False,
    period: int = 0, length: int = 700,
) -> Path:  # fmt: skip
    """A table of a target ``y`` with a season, and of covariates ``a`` (noise), and ``b`` if there is a fault in it."""
    generator = np.random.default_rng(seed)
    period = period or int(generator.integers(8, 16))
    steps = np.arange(length)
    if kind == "C":
        y = generator.standard_normal(length)
        for step in range(2, length):
            y[step] += 2 * 0.97 * np.cos(2 * np.pi / period) * y[step - 1] - 0.97**2 * y[step - 2]
    elif kind == "B":
        noise = generator.standard_normal(length)
        for step in range(1, length):
            noise[step] += 0.6 * noise[step - 1]
        y = 3 * (steps % period) / period + 0.3 * noise
    else:
        y = np.sin(2 * np.pi * steps / period) + 0.2 * generator.standard_normal(length)
    if shuffled:
        generator.shuffle(y)
    columns = {"y": y, "a": generator.standard_normal(length)}
    if leak:
        columns["b"] = np.append(y[1:], y[-1]) * 2 + 5
    if constant:
        columns["b"] = np.full(length, 4.0)
    file = folder / "series.csv"
    lines = [
        ",".join(columns),
        *(",".join(f"{value:.5f}" for value in row) for row in zip(*columns.values(), strict=True)),
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def sequences(
    folder: Path, *, kind: str, seed: int, constant: bool = False, wrong_labels: bool = False,
    repeated: bool = False, number: int = 360,
) -> Path:  # fmt: skip
    """A table of sequences with two channels, and a class each."""
    generator = np.random.default_rng(seed)
    length = int(generator.integers(15, 30))
    labels = generator.integers(0, 2, number)
    tables: list[list[str]] = []
    labels_written = generator.permutation(labels) if wrong_labels else labels
    for index, label in enumerate(labels):
        noise = 0.5 * generator.standard_normal((length, 2))
        if kind == "C":
            first, second = np.sort(generator.choice(length, 2, replace=False))
            noise[first, 0] += 4 * (1 if label else -1)
            noise[second, 0] -= 4 * (1 if label else -1)
        elif kind == "B":
            noise[:, 0] += np.sin((0.5 + 0.8 * label) * np.arange(length) + 6 * generator.random())
        else:
            noise[:, 0] += 1.5 * label * (np.arange(length) > length // 2)
        if constant:
            noise[:, 1] = 2.0
        name = "yes" if labels_written[index] else "no"
        rows = [f"{p:.4f},{q:.4f},{name}" for p, q in noise]
        tables.append(rows)
    return _write_tables(folder / "sequences.csv", "id,p,q,label", tables, repeated=repeated)


def amounts(
    folder: Path, *, kind: str, seed: int, constant: bool = False, wrong_labels: bool = False,
    repeated: bool = False, number: int = 360,
) -> Path:  # fmt: skip
    """A table of sequences with a pulse in each of two channels, and the sum of the pulses' heights."""
    generator = np.random.default_rng(seed)
    length = int(generator.integers(15, 30))
    tables: list[list[str]] = []
    heights = generator.uniform(-3, 3, (number, 2))
    written = heights.sum(1)[generator.permutation(number)] if wrong_labels else heights.sum(1)
    for index, (first, second) in enumerate(heights):
        values = 0.2 * generator.standard_normal((length, 2))
        values[generator.integers(length), 0] += first
        values[generator.integers(length), 1] += second
        if constant:
            values[:, 1] = 2.0
        rows = [f"{p:.4f},{q:.4f},{written[index]:.4f}" for p, q in values]
        tables.append(rows)
    return _write_tables(folder / "amounts.csv", "id,p,q,amount", tables, repeated=repeated)


def _write_tables(file: Path, header: str, tables: list[list[str]], *, repeated: bool) -> Path:
    """Write the rows of each sequence below its id; if ``repeated``, every second one again with a new id."""
    copies = {len(tables) + index: rows for index, rows in enumerate(tables) if repeated and index % 2}
    numbered = {**dict(enumerate(tables)), **copies}
    lines = [header, *(f"{index},{row}" for index, rows in numbered.items() for row in rows)]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def sentences(
    folder: Path, *, kind: str, seed: int, wrong_labels: bool = False, repeated: bool = False, number: int = 500
) -> Path:
    """Sentences of letters; a letter's tag also depends on the letter before it."""
    generator = np.random.default_rng(seed)
    rule = generator.integers(0, 4, (9, 8))
    blocks = []
    for index in range(number):
        letters = generator.integers(0, 8, int(generator.integers(6, 16)))
        before = np.concatenate([[8], letters[:-1]])
        tags = generator.permutation(rule[before, letters]) if wrong_labels else rule[before, letters]
        rows = [f"{'abcdefgh'[letter]}\t{'STUV'[tag]}" for letter, tag in zip(letters, tags, strict=True)]
        blocks += ["\n".join(rows)] * (2 if repeated and index % 2 else 1)
    file = folder / "sentences.tsv"
    file.write_text("\n\n".join(blocks), encoding="utf-8")
    return file
