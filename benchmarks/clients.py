"""Other people's libraries on PyTorch, plain and after ``seriatim.accelerate``: the same program, seed and process.

    scripts/bench clients                                     the one client that needs no installation
    python benchmarks/clients.py --all                        every client, each in an environment of its own
    python benchmarks/clients.py --clients skorch lightning   some of them
    python benchmarks/clients.py --all --site .venv/lib/python3.11/site-packages

Each client is a file in ``benchmarks/clients/``. Its environment is made at the first use and stays in
``--environments``; pip downloads what it needs. With ``--site PATH``, a folder of installed packages that has PyTorch
and Seriatim's dependencies, all environments share those packages, and pip downloads only the rest.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _environment import environment
from _report import Report, markdown, ratio, read

import seriatim

BUILT_IN = "plain_loop"
"""The client that needs nothing but PyTorch; it runs with the Python of this script."""
FOLDER = Path(__file__).with_name("clients")
NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))
SECONDS = 600
"""No client takes longer."""


def main() -> None:
    """Install, run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--all", action="store_true", help="all clients")
    parser.add_argument("--environments", type=Path, default=Path("environments"), help="folder of the environments")
    parser.add_argument("--site", type=Path, help="folder of installed packages that the environments share")
    parser.add_argument("--rounds", type=int, default=3, help="timed pairs of runs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="collect the rows in this file")
    parser.add_argument("--show", type=Path, help="print the table of a file of --json, and run nothing")
    parser.add_argument("--install-only", action="store_true", help="make the environments, and run nothing")
    arguments = parser.parse_args()
    if arguments.show:
        print(table(read(arguments.show)))
        return
    report = Report(("client",), arguments.json)
    for name in NAMES if arguments.all else arguments.clients or [BUILT_IN]:
        constants = read_constants(FOLDER / f"{name}.py")
        row = {"client": name, "program": constants["__doc__"].splitlines()[0].rstrip(".")}
        try:
            python = installed_python(name, constants, arguments.environments, arguments.site)
            if not arguments.install_only:
                row |= run(python, FOLDER / f"{name}.py", arguments.rounds, arguments.threads)
        except RuntimeError as error:
            row["failed"] = str(error)
        if not arguments.install_only or "failed" in row:
            report.add(row)
        print(f"{name}: {row.get('failed', 'done')}", file=sys.stderr)
    print(table(report.rows))


def read_constants(file: Path) -> dict[str, Any]:
    """The docstring and the constants of a client's file, which this Python may be unable to import."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.isupper()
    }
    return {"__doc__": ast.get_docstring(tree), **constants}


def installed_python(name: str, constants: dict[str, Any], folder: Path, site: Path | None) -> Path:
    """The Python of the client's environment; of this script, if the client needs nothing but PyTorch."""
    packages = constants.get("PACKAGES", ())
    if not packages:
        return Path(sys.executable)
    return environment(folder / f"clients-{name}", packages, site, constants.get("PIP_OPTIONS", ()))


def run(python: Path, client: Path, rounds: int, threads: int) -> dict[str, Any]:
    """Run a client in a process of its own, on the Seriatim that this script runs on."""
    source = str(Path(seriatim.__file__).parents[1])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "row.json"
        command = [str(python), str(Path(__file__).with_name("_side_by_side.py")), str(client), "--json", str(file)]
        command += ["--rounds", str(rounds), "--threads", str(threads)]
        variables = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": str(threads)}
        try:
            done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"it took more than {SECONDS} s") from error
        if done.returncode or not file.exists():
            lines = done.stderr.strip().splitlines() or ["no message"]
            raise RuntimeError(f"exit code {done.returncode}: {lines[-1]}")
        row: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    columns = ["client", "version", "program", "layers", "difference", "plain run twice", "plain", "ratio"]
    return markdown(columns, [_line(row) for row in rows])


def _line(row: dict[str, Any]) -> list[str]:
    if "failed" in row:
        return [row["client"], "", row["program"], "", row["failed"], "", "", ""]
    layers = str(len(row["changed"])) + (f", {len(row['left'])} left" if row["left"] else "")
    return [
        row["client"], row["version"], row["program"], layers, f"{row['difference']:.1e}", f"{row['plain_again']:.1e}",
        f"{row['plain_seconds']:.2f} s", ratio(row["ratio"]),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
