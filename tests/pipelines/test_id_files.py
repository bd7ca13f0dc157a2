"""Files of ids and of ranked lists are read as logs are."""

import gzip

import polars as pl
import pytest

from pipelines.commands.options import id_file
from recsys.core.errors import DataError, UsageError
from recsys.logs.side_tables import read_lists

IDS = ["7", "Jörg", "a b", "007"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_of_ids(tmp_path, end, encoding, pack):
    path = tmp_path / "ids [1].txt"
    path.write_bytes(pack(end.join(["", *IDS, " "]).encode(encoding)))
    assert id_file(path) == IDS


def test_files_of_ids_that_cannot_be_read(tmp_path):
    path = tmp_path / "ids.txt"
    with pytest.raises(UsageError, match="cannot read the ids in"):
        id_file(path)
    path.write_bytes("größe\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"ids\.txt' is not valid UTF-8.*iconv"):
        id_file(path)


def test_ranked_lists(tmp_path):
    wanted = [("007", "x", "1"), ("b", "y", "2")]
    text = "user_id,item_id,rank\n007,x,1\nb,y,2\n"
    for name, content in (
        ("lists.csv", text),
        ("lists [1].tsv", text.replace(",", "\t")),
        ("lists.txt", text.replace(",", ";").replace("\n", "\r")),
    ):
        (tmp_path / name).write_text(content, newline="")
        assert read_lists(str(tmp_path / name)).rows() == wanted
    pl.DataFrame(wanted, schema=["user_id", "item_id", "rank"], orient="row").write_parquet(
        tmp_path / "lists[1].parquet"
    )
    assert read_lists(str(tmp_path / "lists[1].parquet")).rows() == wanted
    (tmp_path / "lists.csv").write_text(text + 'c,"z,3\n')
    with pytest.raises(DataError, match=r"line 4 of .*never closes"):
        read_lists(str(tmp_path / "lists.csv"))
