"""Settings of all tests: one thread, laws without a clock, a compiler without a cache, and the quick subset."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Before anything imports NumPy or PyTorch: equal bits on every machine, and no competition for cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("seriatim", deadline=None, derandomize=True)
settings.load_profile("seriatim")

QUICK_CELLS = ("rnn", "lstm", "gru-reset_after=False")
"""Variants for which ``--quick`` runs the laws."""
LEFT_OUT = {
    "processes": r"tests/(test_resume|nn/test_processes|nn/interchange/test_doors)\.py"
    r"|tests/cli/test_(without_engine|app|info)\.py",
    "compiler": r"::test_\w*compil",
    "slow": r"second_derivatives"
    r"|tests/(online|bench|bad_input|tasks|models|runtime|attacks|serve)/test_(?!keywords)"
    r"|tests/(test_saved|learning/test_(forward_mode|traced|loop|learners|recomputing))\.py"
    r"|tests/(nn/test_(custom_cell_doc|torch_samples)|cli/test_(bench|signature|failures))\.py",
}
"""Marks, and patterns of the tests that have them besides the tests that are marked where they are defined."""


NEEDS_LIBRARY = {
    "mlflow": ("loggers/mlflow.py", "mlflow_model.py", "pyfunc_model.py"),
    "ray": ("ray_train.py",),
    "wandb": ("loggers/weights_and_biases.py",),
}
"""Files of ``src/seriatim/run`` that import a library which ``scripts/test-extras`` alone installs."""
collect_ignore = [
    f"src/seriatim/run/{file}"
    for library, files in NEEDS_LIBRARY.items()
    if importlib.util.find_spec(library) is None
    for file in files
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="no slow tests, compilers or processes; laws on three cells")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of ``LEFT_OUT``; with ``--quick``, deselect marked tests and most variants of the laws."""
    for item in items:
        for mark, pattern in LEFT_OUT.items():
            if re.search(pattern, item.nodeid):
                item.add_marker(mark)
    if config.getoption("--quick"):
        left_out = [item for item in items if is_left_out(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not is_left_out(item)]


def is_left_out(item: pytest.Item) -> bool:
    """Whether ``--quick`` leaves the test out."""
    if any(item.get_closest_marker(mark) for mark in ("slow", "compiler", "processes")):
        return True
    if not item.nodeid.startswith("tests/laws/") or not hasattr(item, "callspec"):
        return False
    cells = [value for value in item.callspec.params.values() if hasattr(value, "layer")]
    return any(str(cell) not in QUICK_CELLS for cell in cells)


@pytest.fixture(scope="session", autouse=True)
def _new_compiler_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new cache for PyTorch's compiler: an old one may have code for another instruction set. Workers share it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "inductor"))
        yield


@pytest.fixture(autouse=True)
def _examples_run_in_an_empty_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of a docstring may write files: it runs in a temporary folder."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
