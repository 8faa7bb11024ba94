"""Convert public data sets into tables that ``seriatim train`` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars


def sst2(data: Path, work: Path) -> None:
    """``label text`` per line → TSV with a header."""
    for part, name in (("train", "train"), ("dev", "valid"), ("test", "test")):
        lines = (data / "sst2" / f"stsa.binary.{part}").read_text(encoding="utf-8").splitlines()
        rows = (line.split(" ", 1) for line in lines)
        table = "".join(f"{label}\t{text}\n" for label, text in rows)
        (work / f"sst2-{name}.tsv").write_text("label\ttext\n" + table, encoding="utf-8")


def conll_2003(data: Path, work: Path) -> None:
    """``conll2003/eng.train``, ``.testa`` and ``.testb`` (for research only) → files named train, valid and test."""
    for part, name in (("train", "train"), ("testa", "valid"), ("testb", "test")):
        text = (data / "conll2003" / f"eng.{part}").read_text(encoding="utf-8")
        (work / f"conll-{name}.conll").write_text(text, encoding="utf-8")


def m4_hourly(data: Path, work: Path) -> None:
    """One series per line, in a training and a test file → one row per step; the last 48 steps are the test."""
    parts = [
        polars.read_csv(data / "m4_hourly" / f"Hourly-{part}.csv", infer_schema_length=None)
        .unpivot(index="V1", variable_name="step")
        .drop_nulls()
        .select(
            polars.col("V1").alias("series"),
            polars.lit(number).alias("part"),
            polars.col("step").str.slice(1).cast(polars.Int64),
            polars.col("value"),
        )
        for number, part in enumerate(("train", "test"))
    ]
    table = polars.concat(parts).sort(polars.col("series").str.slice(1).cast(polars.Int64), "part", "step")
    table.select("series", "value").write_csv(work / "m4-hourly.csv")


def shakespeare(data: Path, work: Path) -> None:
    """The split of published figures: the first 90 % for training, the last 10 % for testing."""
    text = (data / "shakespeare" / "input.txt").read_text(encoding="utf-8")
    end = round(len(text) * 0.9)
    (work / "shakespeare-train.txt").write_text(text[:end], encoding="utf-8")
    (work / "shakespeare-test.txt").write_text(text[end:], encoding="utf-8")


def fsdd(data: Path, work: Path) -> None:
    """``DIGIT_SPEAKER_INDEX.wav`` → tables of absolute paths. Index 0 to 4 is the test, 5 to 49 the training part."""
    rows: dict[str, list[str]] = {"train": [], "test": []}
    for file in sorted((data / "fsdd" / "recordings").glob("*.wav")):
        digit, speaker, index = file.stem.split("_")
        rows["train" if int(index) >= 5 else "test"].append(f"{file.resolve()},{digit},{speaker}\n")
    for part, lines in rows.items():
        (work / f"fsdd-{part}.csv").write_text("recording,digit,speaker\n" + "".join(lines), encoding="utf-8")


def fsdd_speakers(data: Path, work: Path) -> None:
    """One pair of tables per speaker: the test has all recordings of that speaker, the training part all others."""
    files = sorted((data / "fsdd" / "recordings").glob("*.wav"))
    rows = [(*file.stem.split("_")[:2], file.resolve()) for file in files]
    for speaker in sorted({name for _, name, _ in rows}):
        for part, is_test in (("train", False), ("test", True)):
            lines = [f"{file},{digit},{name}\n" for digit, name, file in rows if (name == speaker) is is_test]
            text = "recording,digit,speaker\n" + "".join(lines)
            (work / f"fsdd-without-{speaker}-{part}.csv").write_text(text, encoding="utf-8")


def mnist1d(data: Path, work: Path) -> None:
    """The sequences that ``mnist1d`` (PyPI) generates with its default seed → ``.ts`` files, in order and shuffled.

    4,000 sequences of 40 steps for training and 1,000 for testing (Greydanus 2020). Shuffled: all sequences have the
    same random order of steps.
    """
    from mnist1d.data import get_dataset_args, make_dataset  # an optional package

    for name, is_shuffled in (("mnist1d", False), ("mnist1d-shuffled", True)):
        options = get_dataset_args()
        options.shuffle_seq = is_shuffled
        dataset = make_dataset(options)
        head = f"@problemName {name}\n@univariate true\n@classLabel true {' '.join(map(str, range(10)))}\n@data\n"
        for part, ending in (("train", ""), ("test", "_test")):
            rows = zip(dataset[f"x{ending}"], dataset[f"y{ending}"], strict=True)
            lines = [f"{','.join(f'{value:.6g}' for value in values)}:{label}\n" for values, label in rows]
            (work / f"{name}-{part}.ts").write_text(head + "".join(lines), encoding="utf-8")


def cmapss(data: Path, work: Path) -> None:
    """Rows of engine, cycle, 3 settings and 21 sensors → CSV with the remaining cycles of each engine.

    A training engine fails after its last row. For a test engine the remaining life is known for the last row only, so
    that only this row has a target and is scored. Columns that never change in the training part are left out.
    """
    names = ["engine", "cycle", "set1", "set2", "set3", *(f"s{number}" for number in range(1, 22))]
    parts = {
        part: polars.DataFrame(
            [line.split() for line in (data / "cmapss_fd001" / f"{part}_FD001.txt").read_text().splitlines()],
            schema=names,
            orient="row",
        ).cast({polars.selectors.all(): polars.Float64} | {"engine": polars.Int64, "cycle": polars.Int64})
        for part in ("train", "test")
    }
    constant = [name for name in names if parts["train"][name].n_unique() == 1]
    remaining = [float(line) for line in (data / "cmapss_fd001" / "RUL_FD001.txt").read_text().split()]
    to_go = polars.col("cycle").max().over("engine") - polars.col("cycle")
    truth = polars.DataFrame(
        {"engine": range(1, len(remaining) + 1), "left": remaining}, schema_overrides={"engine": polars.Int64}
    )
    last = polars.when(to_go == 0).then(polars.col("left"))
    train = parts["train"].with_columns(to_go.alias("left"))
    test = parts["test"].join(truth, on="engine", maintain_order="left").with_columns(last.alias("left"))
    for part, table in (("train", train), ("test", test)):
        table.drop(constant).write_csv(work / f"cmapss-{part}.csv")


def flickr8k(data: Path, work: Path) -> None:
    """``NAME.jpg#N⇥caption`` and lists of names per part → a table per part, a row per caption, with absolute paths.

    ``flickr8k/images`` has the pictures, ``flickr8k/Flickr8k_text`` the captions; both are for research only. Some
    copies of the captions name pictures that are missing: names without a picture are left out.
    """
    folder = (data / "flickr8k").resolve()
    captions: dict[str, list[str]] = {}
    for line in (folder / "Flickr8k_text" / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        name, _, caption = line.partition("\t")
        captions.setdefault(name.partition("#")[0], []).append(" ".join(caption.split()))
    for part, name in (("train", "train"), ("dev", "valid"), ("test", "test")):
        names = (folder / "Flickr8k_text" / f"Flickr_8k.{part}Images.txt").read_text(encoding="utf-8").split()
        files = [folder / "images" / image for image in names]
        lines = [f"{file}\t{caption}\n" for file in files if file.exists() for caption in captions[file.name]]
        (work / f"flickr8k-{name}.tsv").write_text("image\tcaption\n" + "".join(lines), encoding="utf-8")


def addition_date(data: Path, work: Path) -> None:
    """``source_target`` per line → TSV with a header, in the published random order; the last tenth is the test.

    Sums keep the spaces that make them equally long, as published; dates lose them. ``known`` has 500 rows of the
    training part, for choosing weights when the whole training part is used for training.
    """
    for name, keep_spaces in (("addition", True), ("date", False)):
        lines = (data / "addition_date" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        order = np.arange(len(lines))
        np.random.RandomState(1984).shuffle(order)
        pairs = [lines[index].split("_") for index in order]
        rows = ["\t".join(pair if keep_spaces else [text.strip() for text in pair]) + "\n" for pair in pairs]
        end = len(rows) - len(rows) // 10
        for part, part_rows in (("train", rows[:end]), ("known", rows[:500]), ("test", rows[end:])):
            (work / f"{name}-{part}.tsv").write_text("source\ttarget\n" + "".join(part_rows), encoding="utf-8")


def tatoeba(data: Path, work: Path) -> None:
    """``English⇥Korean⇥attribution`` per line → TSV with a header, Korean to English."""
    lines = (data / "tatoeba_kor_eng" / "kor_3723.txt").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t")[:2] for line in lines)
    table = "".join(f"{korean}\t{english}\n" for english, korean in rows)
    (work / "tatoeba.tsv").write_text("source\ttarget\n" + table, encoding="utf-8")
