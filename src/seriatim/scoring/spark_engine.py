"""Spark: the session that is active, else a new one on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from seriatim.errors import RunError
from seriatim.scoring.one_thread import VARIABLES
from seriatim.scoring.partition import Job, Partition, score_or_error

ATTEMPTS = 4
"""How often a new session runs a task whose worker dies; a session that is active has its own number."""


def run(job: Job, partitions: Sequence[Partition], workers: int | None) -> Iterator[Partition]:
    """Score ``partitions`` as tasks of Spark, and yield them when all are finished.

    Spark repeats the tasks of a worker that dies. ``workers`` is the number of processors of a new session. Raises
    ``RunError`` without Java, for a session of Spark Connect, which runs no functions of Python on rows of an RDD, and
    if a task's workers die repeatedly.
    """
    if not partitions:
        return
    session: Any = SparkSession.getActiveSession()
    context = _context_of(session) if session is not None else _new_context(workers)
    try:
        tasks = context.parallelize(partitions, len(partitions))
        results = tasks.map(partial(score_or_error, job)).collect()
    except (Py4JError, PySparkException) as error:
        raise RunError(
            f"Spark gave up: {_first_line(error)}. Finished parts are kept: the same command goes on"
        ) from None
    finally:
        if session is None:
            context.stop()
    for result in results:
        if isinstance(result, Exception):
            raise result
    yield from results


def _context_of(session: Any) -> SparkContext:
    try:
        context: SparkContext = session.sparkContext
    except PySparkException as error:
        raise RunError(
            f"engine 'spark': wanted a session that is not of Spark Connect ({_first_line(error)})"
        ) from None
    return context


def _new_context(workers: int | None) -> SparkContext:
    """Start Spark on this machine, reachable from this machine alone."""
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise RunError("engine 'spark': Spark needs Java, but there is no program 'java' and no JAVA_HOME")
    builder: Any = SparkSession.builder
    settings = {
        "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.ui.enabled": "false",
        "spark.log.level": "OFF", **{f"spark.executorEnv.{name}": "1" for name in VARIABLES},
    }  # fmt: skip
    for name, value in settings.items():
        builder = builder.config(name, value)
    try:
        session = builder.master(f"local[{workers or '*'},{ATTEMPTS}]").appName("seriatim").getOrCreate()
    except (Py4JError, PySparkException) as error:
        raise RunError(f"engine 'spark': Spark did not start: {_first_line(error)}") from None
    context: SparkContext = session.sparkContext
    if "PYSPARK_PYTHON" not in os.environ:
        context.pythonExec = sys.executable
    return context


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
