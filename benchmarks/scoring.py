"""Sequences per second of predictions in parts, and the memory of the processes, beside a loop of ``Run.predict``.

    python benchmarks/scoring.py --rows 600000 --json scoring.json
    python benchmarks/scoring.py --work texts --sides "runtime, 2 workers" --rows 1000000 3000000 10000000

``texts`` are classified by a GRU of 16 units: four words in each row of the file. ``series`` are forecast by a GRU of
16 units: 24 rows of the file make one series, and the next six values are predicted. The loop reads the file in
slices of 50,000 rows, predicts, and writes each slice as a part does. A worker has one thread, the loop those of
``--threads``. Each measurement is a new process, so its time includes imports and the opening of the model; the
networks are trained for one epoch, since the time does not depend on their weights. Memory is the largest resident
size of the process itself, and of its largest worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars
from _report import Report, Row, markdown

import seriatim

STEPS, HORIZON, PART_ROWS = 24, 6, 50_000
WORDS = ["sun", "sea", "wind", "rain", "snow", "hail", "fog", "dew"]
SIDES = {
    "loop of predict": ("run", 0), "run, 1 worker": ("run", 1), "run, 2 workers": ("run", 2),
    "runtime, 1 worker": ("exported", 1), "runtime, 2 workers": ("exported", 2),
}  # fmt: skip
"""The folder of the model, and the number of workers; 0 is the loop."""
WORKS = ("texts", "series")


def main() -> None:
    """Measure and print."""
    options = arguments()
    if options.child:
        print(json.dumps(measure(*json.loads(options.child))))
        return
    report = Report(("work", "side", "rows"), options.json)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for work in options.work:
            folder = Path(name) / work
            folder.mkdir()
            train(work, folder)
            for rows in options.rows:
                write_rows(work, folder / "many.parquet", rows)
                for side in options.sides:
                    report.add({"work": work, "side": side, "rows": rows, **in_new_process(folder, side, options)})
    columns = ["work", "side", "rows", "sequences per second", "this process, MB", "largest worker, MB"]
    print(
        markdown(
            columns,
            [
                [row["work"], row["side"], f"{row['rows']:,}", f"{row['rate']:,.0f}", f"{row['self']:.0f}",
                 f"{row['worker']:.0f}" if row["worker"] else ""]
                for row in report.rows
            ],
        )
    )  # fmt: skip


def train(work: str, folder: Path) -> None:
    """Train a small network, and export it."""
    write_rows(work, folder / "train.parquet", 4800, with_label=True)
    options: dict[str, Any] = {"hidden": 16, "epochs": 1, "baselines": "none", "quiet": True, "out": folder / "run"}
    if work == "texts":
        run = seriatim.train("classify", folder / "train.parquet", model="gru", text="text", label="label", **options)
    else:
        columns = {"target": "value", "id": "id", "horizon": HORIZON, "lookback": STEPS // 4, "start": "seasonal_naive"}
        run = seriatim.train("forecast", folder / "train.parquet", model="gru", **columns, **options)
    run.export(folder / "exported")


def write_rows(work: str, file: Path, rows: int, *, with_label: bool = False) -> None:
    """Write a file of ``rows`` rows; the work of large files is done in blocks, so that this process stays small."""
    rng = np.random.default_rng(0)
    block = polars.DataFrame({"row": np.arange(min(rows, 1_000_000) // STEPS * STEPS)})
    if work == "texts":
        words = rng.choice(WORDS, (block.height, 4))
        block = block.select(text=polars.Series([" ".join(row) for row in words.tolist()]))
        if with_label:
            label = polars.when(polars.col("text").str.contains("rain")).then(polars.lit("wet"))
            block = block.with_columns(label=label.otherwise(polars.lit("dry")))
        frames = [block] * -(-rows // block.height)
        polars.concat(frames).head(rows).write_parquet(file, row_group_size=100_000)
        return
    value = polars.Series("value", rng.normal(size=block.height))
    count = -(-rows // block.height)
    frames = [block.select(id=(polars.col("row") + part * block.height) // STEPS, value=value) for part in range(count)]
    polars.concat(frames).head(rows // STEPS * STEPS).write_parquet(file, row_group_size=100_000)


def in_new_process(folder: Path, side: str, options: argparse.Namespace) -> Row:
    """Measure one side in a new process."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        command = [sys.executable, __file__, "--child", json.dumps([str(folder), out, *SIDES[side]])]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    row: Row = json.loads(done.stdout)
    return row


def measure(folder: str, out: str, model: str, workers: int) -> Row:
    """Predict for the file in this process or with ``workers`` processes; return rate and memory."""
    import resource
    import time

    from seriatim.scoring import score

    begin = time.monotonic()
    path, data, parts = Path(folder), Path(folder) / "many.parquet", Path(out) / "parts"
    if workers:
        score(path / model, data, parts, workers=workers, part_rows=PART_ROWS)
    else:
        run = seriatim.load(path / model)
        frame = polars.scan_parquet(data)
        part_rows = PART_ROWS // STEPS * STEPS
        for start in range(0, frame.select(polars.len()).collect().item(), part_rows):
            run.write_predictions(frame.slice(start, part_rows).collect(), parts / f"{start}.parquet")
    seconds = time.monotonic() - begin
    files = polars.scan_parquet(parts / "*.parquet").select(polars.len()).collect().item()
    sequences = files if path.name == "texts" else files // HORIZON
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    own, worker = int(peak.split()[1]) / 1e3, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    return {"rate": sequences / seconds, "seconds": seconds, "self": own, "worker": worker}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", nargs="+", choices=WORKS, default=WORKS)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--rows", nargs="+", type=int, default=[600_000], help="rows of the file")
    parser.add_argument("--threads", type=int, default=2, help="threads of the loop")
    parser.add_argument("--folder", help="for the temporary files")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
