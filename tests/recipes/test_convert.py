"""Each public data set, made up in its own shape, becomes the table that ``seriatim train`` reads."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import polars
import pytest

from script_runner import load_script


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


@pytest.fixture
def convert(monkeypatch):
    return load_script(monkeypatch, "recipes", "convert")


@pytest.fixture
def folders(tmp_path):
    """Where the data are, and where tables go."""
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    work.mkdir()
    return data, work


def test_sst2(convert, folders):
    data, work = folders
    write(data / "sst2", {f"stsa.binary.{part}": "1 a fine film\n0 dull\n" for part in ("train", "dev", "test")})
    convert.sst2(*folders)
    assert (work / "sst2-valid.tsv").read_text(encoding="utf-8") == "label\ttext\n1\ta fine film\n0\tdull\n"


def test_conll_2003(convert, folders):
    data, work = folders
    write(data / "conll2003", {f"eng.{part}": f"{part} NN I-NP O\n" for part in ("train", "testa", "testb")})
    convert.conll_2003(*folders)
    assert (work / "conll-test.conll").read_text(encoding="utf-8") == "testb NN I-NP O\n"


def test_m4_hourly(convert, folders):
    data, work = folders
    files = {"Hourly-train.csv": "V1,V2,V3\nH2,5,6\nH1,1,2\nH10,7,\n", "Hourly-test.csv": "V1,V2\nH2,8\nH1,3\nH10,9\n"}
    write(data / "m4_hourly", files)
    convert.m4_hourly(*folders)
    table = polars.read_csv(work / "m4-hourly.csv")
    assert table["series"].to_list() == ["H1", "H1", "H1", "H2", "H2", "H2", "H10", "H10"]
    assert table["value"].to_list() == [1, 2, 3, 5, 6, 8, 7, 9]


def test_shakespeare(convert, folders):
    data, work = folders
    write(data / "shakespeare", {"input.txt": "abcdefghij"})
    convert.shakespeare(*folders)
    parts = [(work / f"shakespeare-{part}.txt").read_text(encoding="utf-8") for part in ("train", "test")]
    assert parts == ["abcdefghi", "j"]


def test_fsdd(convert, folders):
    data, work = folders
    write(data / "fsdd" / "recordings", {"3_jackson_4.wav": "", "3_jackson_5.wav": ""})
    convert.fsdd(*folders)
    train, test = (polars.read_csv(work / f"fsdd-{part}.csv") for part in ("train", "test"))
    assert train["recording"][0].endswith("3_jackson_5.wav") and test["recording"][0].endswith("3_jackson_4.wav")
    assert train.row(0)[1:] == (3, "jackson")


def test_fsdd_speakers(convert, folders):
    data, work = folders
    write(data / "fsdd" / "recordings", {"3_jackson_4.wav": "", "3_george_5.wav": ""})
    convert.fsdd_speakers(*folders)
    train, test = (polars.read_csv(work / f"fsdd-without-jackson-{part}.csv") for part in ("train", "test"))
    assert train["speaker"].to_list() == ["george"] and test["speaker"].to_list() == ["jackson"]
    assert test["recording"][0].endswith("3_jackson_4.wav")


def test_mnist1d(convert, folders, monkeypatch):
    """A module of the same form stands for the package, which is not installed for tests."""
    made = ModuleType("mnist1d.data")
    made.get_dataset_args = SimpleNamespace
    made.make_dataset = lambda options: {
        "x": [[0.5, -1.25]], "y": [7], "x_test": [[2.0, float(options.shuffle_seq)]], "y_test": [3],
    }  # fmt: skip
    monkeypatch.setitem(sys.modules, "mnist1d", ModuleType("mnist1d"))
    monkeypatch.setitem(sys.modules, "mnist1d.data", made)
    convert.mnist1d(*folders)
    work = folders[1]
    assert (work / "mnist1d-train.ts").read_text(encoding="utf-8").endswith("@data\n0.5,-1.25:7\n")
    assert (work / "mnist1d-shuffled-test.ts").read_text(encoding="utf-8").endswith("@data\n2,1:3\n")


def test_cmapss(convert, folders):
    data, work = folders
    rows = [" ".join(map(str, (1, cycle, *(0.5 for _ in range(23)), cycle / 2))) for cycle in (1, 2, 3)]
    files = {"train_FD001.txt": "\n".join(rows), "test_FD001.txt": "\n".join(rows[:2]), "RUL_FD001.txt": "40\n"}
    write(data / "cmapss_fd001", files)
    convert.cmapss(*folders)
    train, test = (polars.read_csv(work / f"cmapss-{part}.csv") for part in ("train", "test"))
    assert train.columns == ["cycle", "s21", "left"]
    assert train["left"].to_list() == [2, 1, 0] and test["left"].to_list() == [None, 40]


def test_flickr8k_leaves_out_names_without_a_picture(convert, folders):
    data, work = folders
    text = "a.jpg#0\tA dog  runs .\na.jpg#1\tA dog .\nlost.jpg#0\tNothing .\n"
    lists = {f"Flickr_8k.{part}Images.txt": "a.jpg\nlost.jpg\n" for part in ("train", "dev", "test")}
    write(data / "flickr8k" / "Flickr8k_text", {"Flickr8k.token.txt": text, **lists})
    write(data / "flickr8k" / "images", {"a.jpg": ""})
    convert.flickr8k(*folders)
    table = polars.read_csv(work / "flickr8k-valid.tsv", separator="\t")
    assert table["caption"].to_list() == ["A dog runs .", "A dog ."]


def test_addition_date(convert, folders):
    data, work = folders
    sums = "".join(f"{number}+1   _{number + 1}  \n" for number in range(1000, 1020))
    write(data / "addition_date", {"addition.txt": sums, "date.txt": sums})
    convert.addition_date(*folders)
    train, test = (
        (work / f"addition-{part}.tsv").read_text(encoding="utf-8").splitlines() for part in ("train", "test")
    )
    assert (len(train), len(test)) == (1 + 18, 1 + 2)
    assert train[1].endswith("  ") and "+1   \t" in train[1]
    assert not (work / "date-test.tsv").read_text(encoding="utf-8").splitlines()[1].endswith(" ")


def test_tatoeba(convert, folders):
    data, work = folders
    write(data / "tatoeba_kor_eng", {"kor_3723.txt": "Hello.\t안녕.\tCC-BY\n"})
    convert.tatoeba(*folders)
    assert (work / "tatoeba.tsv").read_text(encoding="utf-8") == "source\ttarget\n안녕.\tHello.\n"
