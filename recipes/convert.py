"""Public data sets in shapes of their own, turned into tables that ``seriatim train`` reads."""

from __future__ import annotations

from pathlib import Path

import polars


def sst2(data: Path, work: Path) -> None:
    """``label text`` per line → TSV with a header."""
    for part, name in (("train", "train"), ("dev", "valid"), ("test", "test")):
        lines = (data / "sst2" / f"stsa.binary.{part}").read_text(encoding="utf-8").splitlines()
        rows = (line.split(" ", 1) for line in lines)
        table = "".join(f"{label}\t{text}\n" for label, text in rows)
        (work / f"sst2-{name}.tsv").write_text("label\ttext\n" + table, encoding="utf-8")


def m4_hourly(data: Path, work: Path) -> None:
    """One series per line, training and test apart → one row per step, both together; the last 48 are the test."""
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
    """The split that published figures use: the first 90 % to train on, the last 10 % held out."""
    text = (data / "shakespeare" / "input.txt").read_text(encoding="utf-8")
    end = round(len(text) * 0.9)
    (work / "shakespeare-train.txt").write_text(text[:end], encoding="utf-8")
    (work / "shakespeare-test.txt").write_text(text[end:], encoding="utf-8")
