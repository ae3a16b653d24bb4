from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tinydb import TinyDB, where
from tinydb.storages import JSONStorage
from tinydb.table import Document

from agent.outbox.files import Files
from agent.outbox.segment import RewriteRefused, SegmentBroken, SegmentDB, SegmentFull
from tests.outbox.room import FailingDisk

SIZE = 64 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
documents = st.fixed_dictionaries(
    {"kind": st.sampled_from(["alarm", "gap", "clock"]), "n": st.integers(0, 9)},
    optional={"detail": json_values},
)
calls = st.lists(
    st.one_of(
        documents.map(lambda each: ("insert", each)),
        st.lists(documents, max_size=4).map(lambda each: ("insert_multiple", each)),
        st.sampled_from([("reopen", None)]),
    ),
    max_size=12,
)

QUESTIONS: dict[str, Callable[[TinyDB], Any]] = {
    "all": lambda db: db.all(),
    "len": lambda db: len(db),
    "iter": lambda db: list(db),
    "ids": lambda db: [each.doc_id for each in db],
    "search ==": lambda db: db.search(where("kind") == "gap"),
    "search <": lambda db: db.search(where("n") < 4),
    "search &": lambda db: db.search((where("n") > 2) & (where("kind") == "alarm")),
    "search ~": lambda db: db.search(~where("detail").exists()),
    "search fragment": lambda db: db.search(where("n").one_of([1, 3, 5])),
    "get": lambda db: db.get(where("n") == 3),
    "get id": lambda db: db.get(doc_id=2),
    "get ids": lambda db: db.get(doc_ids=[1, 3, 99]),
    "contains": lambda db: db.contains(where("kind") == "clock"),
    "contains id": lambda db: db.contains(doc_id=1),
    "count": lambda db: db.count(where("kind") == "alarm"),
}


@given(calls)
@settings(max_examples=60, deadline=None)
def test_supported_calls_answer_as_stock_tinydb_does(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        stock = TinyDB(path / "stock.json", storage=JSONStorage)
        ours = SegmentDB(path / "seg-00000001.log", Files(), size=SIZE)
        try:
            for name, argument in steps:
                if name == "reopen":
                    ours.close()
                    ours = SegmentDB(path / "seg-00000001.log", Files())
                else:
                    assert getattr(ours, name)(argument) == getattr(stock, name)(argument)
                for question, ask in QUESTIONS.items():
                    assert ask(ours) == ask(stock), question
        finally:
            ours.close()
            stock.close()


REWRITES: dict[str, Callable[[TinyDB], Any]] = {
    "update": lambda db: db.update({"n": 1}),
    "update_multiple": lambda db: db.update_multiple([({"n": 1}, where("n") == 2)]),
    "upsert": lambda db: db.upsert({"n": 1}, where("n") == 2),
    "remove": lambda db: db.remove(where("n") == 2),
    "truncate": lambda db: db.truncate(),
    "drop_tables": lambda db: db.drop_tables(),
    "drop_table": lambda db: db.drop_table("_default"),
    "write": lambda db: db.storage.write({}),
    "table('other')": lambda db: db.table("other"),
}


@pytest.mark.parametrize("name", REWRITES)
def test_calls_that_would_rewrite_the_file_refuse_by_name(tmp_path: Path, name: str) -> None:
    with SegmentDB(tmp_path / "seg-00000001.log", Files(), size=SIZE) as db:
        db.insert({"n": 2})
        with pytest.raises(RewriteRefused) as refusal:
            REWRITES[name](db)
        assert refusal.value.call == name
        assert db.all() == [{"n": 2}]


def test_many_documents_cost_one_sync_and_the_file_keeps_its_size(tmp_path: Path) -> None:
    files = FailingDisk()
    with SegmentDB(tmp_path / "seg-00000001.log", files, size=SIZE) as db:
        files.calls.clear()
        db.insert_multiple({"n": n} for n in range(100))
        assert files.calls == ["pwrite", "sync_data"]
        assert (tmp_path / "seg-00000001.log").stat().st_size == SIZE


def test_numbers_go_on_from_a_given_one_and_never_back(tmp_path: Path) -> None:
    with SegmentDB(tmp_path / "seg-00000001.log", Files(), size=SIZE) as db:
        assert db.insert(Document({"n": 1}, doc_id=700)) == 700
        assert db.insert({"n": 2}) == 701
        with pytest.raises(ValueError, match="700"):
            db.insert(Document({"n": 3}, doc_id=700))
        assert [each.doc_id for each in db] == [700, 701]


def test_a_document_json_cannot_hold_is_refused_and_leaves_the_file_good(tmp_path: Path) -> None:
    with SegmentDB(tmp_path / "seg-00000001.log", Files(), size=SIZE) as db:
        with pytest.raises(TypeError):
            db.insert_multiple([{"n": 1}, {"n": object()}])
        db.insert({"n": 2})
    with SegmentDB(tmp_path / "seg-00000001.log", Files()) as again:
        assert again.all() == [{"n": 2}]


def test_a_full_segment_says_so_and_takes_nothing(tmp_path: Path) -> None:
    with SegmentDB(tmp_path / "seg-00000001.log", Files(), size=200) as db:
        db.insert({"text": "x" * 100})
        with pytest.raises(SegmentFull):
            db.insert({"text": "y" * 100})
        assert len(db) == 1


@pytest.mark.parametrize("operation", ["pwrite", "sync_data"])
def test_after_a_failed_write_or_sync_the_file_takes_nothing_more(
    tmp_path: Path, operation: str
) -> None:
    files = FailingDisk()
    with SegmentDB(tmp_path / "seg-00000001.log", files, size=SIZE) as db:
        db.insert({"n": 1})
        files.fail(5, operation)
        with pytest.raises(OSError, match="EIO"):
            db.insert({"n": 2})
        files.heal()
        with pytest.raises(SegmentBroken):
            db.insert({"n": 3})
        assert db.all() == [{"n": 1}]
