"The record keeps what it acknowledged: killed under load, upgraded, on SQLite and on PostgreSQL."
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy

from llmcourse.record import Recorder, RecordingError, hash_of

SAID = {"label": "neutral", "probabilities": {"neutral": 1.0}, "truncated": False}
VICTIM = f"""
import os, sys, threading
from llmcourse.record import Recorder
recorder = Recorder(sys.argv[1], key="k" * 32)
def ask():
    while True:
        answer = {{"model": "m", "predictions": [{SAID}] * 2}}
        ids = recorder.record(["does anybody hear me?"] * 2, answer, sender="ann")
        os.write(1, (" ".join(ids) + "\\n").encode())
for _ in range(8): threading.Thread(target=ask).start()
"""


def answer(n: int) -> dict: return {"model": "m", "predictions": [SAID] * n}


def postgres_programs() -> Path | None:
    "The folder with PostgreSQL's programs, if they are installed."
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    found = [path for path in folders if (path/"pg_ctl").exists()]
    if found: return found[0]
    known = shutil.which("pg_ctl")
    return Path(known).resolve().parent if known else None


@pytest.fixture(scope="module")
def postgres():
    "The address of a PostgreSQL server in a temporary folder, on loopback; it refuses to run as root."
    programs = postgres_programs()
    if programs is None: pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    if user: shutil.chown(folder, user)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    call = lambda *args: subprocess.run(args, check=True, user=user, cwd=folder, env={"LC_ALL": "C.UTF-8"},
                                        stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    call(programs/"initdb", "-D", folder/"data", "-U", "course", "-A", "trust", "-E", "UTF8")
    options = f"-h 127.0.0.1 -p {port} -k {folder} -c shared_buffers=16MB"
    call(programs/"pg_ctl", "-D", folder/"data", "-l", folder/"log", "-w", "-o", options, "start")
    yield f"postgresql://course@127.0.0.1:{port}/postgres"
    call(programs/"pg_ctl", "-D", folder/"data", "-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, tmp_path):
    if request.param == "sqlite": return str(tmp_path/"record.db")
    server = request.getfixturevalue("postgres")
    engine = sqlalchemy.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for table in ("predictions", "feedback", "experiment_stops", "experiment_answers", "alembic_version"):
            connection.exec_driver_sql(f"drop table if exists {table}")
    engine.dispose()
    return server


def test_killed_under_load_twenty_times(address, tmp_path):
    "All that a killed recorder acknowledged is there, whole requests only."
    told = []
    for i in range(20):
        out = tmp_path/"told"
        with open(out, "wb") as f: victim = subprocess.Popen([sys.executable, "-c", VICTIM, address], stdout=f)
        began = time.monotonic()
        while not out.stat().st_size and time.monotonic() - began < 60: time.sleep(0.01)
        time.sleep(0.02 * (i % 5))
        victim.kill()
        victim.wait()
        told += out.read_text().split()
    with contextlib.closing(Recorder(address, key="k" * 32)) as recorder: kept = [row["id"] for row in recorder.rows()]
    assert len(told) > 40 and set(told) <= set(kept) and len(kept) % 2 == 0


def test_many_clients_lose_nothing(address):
    recorder = Recorder(address, key="k" * 32)
    with ThreadPoolExecutor(32) as pool:
        ids = list(pool.map(lambda i: recorder.record([f"text {i}"], answer(1), sender=f"user {i % 7}")[0], range(320)))
    kept = {row["id"]: row for row in recorder.rows()}
    assert set(kept) == set(ids) and [kept[id]["text"] for id in ids] == [f"text {i}" for i in range(320)]
    assert len(recorder.writer.groups) < 320 and {row["sender"] for row in kept.values()} == {
        hash_of(f"user {i}", recorder.key) for i in range(7)}
    recorder.close()


def test_feedback_and_deletion(address):
    recorder = Recorder(address, key="k" * 32)
    ids = recorder.record(["one", "two \0 \ud800", "mail ann@shop.org"], answer(3), variant="B", sender="ann")
    other = recorder.record(["four"], answer(1), sender="ben")
    assert [recorder.tell(ids[0], label).before for label in ("positive", "negative")] == [None, "positive"]
    assert recorder.tell(ids[0], "negative").variant == "B" and recorder.give_feedback("nobody", "neutral") is None
    assert [word["label"] for word in recorder.feedback()] == ["positive", "negative", "negative"]
    assert recorder.rows()[2]["text"] == "mail [EMAIL]" and len(recorder.rows(after=1, most=2)) == 2
    assert recorder.delete([ids[0], "nobody"]) == 1 and recorder.feedback() == []
    assert recorder.delete_sender("ann") == 2 and [row["id"] for row in recorder.rows()] == other
    assert recorder.delete_older_than(1) == 0 and recorder.delete_older_than(0) == 1 and recorder.rows() == []
    recorder.close()
    with pytest.raises(RecordingError, match="closed"): recorder.record(["late"], answer(1))


def test_old_database_is_upgraded_without_loss(address):
    "The form in which the course kept its predictions before it had migrations."
    import hashlib
    url = address if "://" in address else f"sqlite:///{address}"
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    metadata = sqlalchemy.MetaData()
    from sqlalchemy import JSON, Boolean, Column, DateTime, Integer, String, Table, Text
    predictions = Table("predictions", metadata, Column("number", Integer, primary_key=True),
                        Column("id", String(32), unique=True), Column("time", DateTime),
                        Column("model", String(64), index=True), Column("text", Text), Column("label", String(64)),
                        Column("probabilities", JSON), Column("truncated", Boolean), Column("true_label", String(64)),
                        Column("variant", String(64)), Column("sender", String(16)))
    feedback = Table("feedback", metadata, Column("number", Integer, primary_key=True),
                     Column("id", String(32), index=True), Column("time", DateTime), Column("label", String(64)))
    metadata.create_all(engine)
    rows = [{"id": f"{i:032x}", "text": f"text {i}", "label": "neutral", "probabilities": {"neutral": 0.5},
             "truncated": False, "true_label": "negative" if i == 3 else None, "model": "m", "variant": "A",
             "sender": hashlib.sha256(f"user {i % 4}".encode()).hexdigest()[:16] if i % 5 else None}
            for i in range(20)]
    with engine.begin() as connection:
        connection.execute(predictions.insert(), rows)
        connection.execute(feedback.insert(), [{"id": rows[3]["id"], "label": "negative"}])
    engine.dispose()
    for _ in range(2):                                                  # the second time there is nothing to do
        recorder = Recorder(address, key="k" * 32)
        kept = recorder.rows()
        plain = ("id", "text", "label", "probabilities", "truncated", "true_label", "model", "variant")
        assert [{key: row[key] for key in plain} for row in kept] == [{key: row[key] for key in plain} for row in rows]
        assert [row["sender"] for row in kept] == [
            hash_of(f"user {i % 4}", recorder.key) if i % 5 else None for i in range(20)]
        assert [word["label"] for word in recorder.feedback()] == ["negative"]
        recorder.close()


def test_a_record_with_stops_of_before_is_upgraded(address):
    "A server with A/B tests made its table of stops by itself, outside the steps."
    Recorder(address, key="k" * 32).close()
    url = address if "://" in address else f"sqlite:///{address}"
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for step in ("drop index ix_predictions_told", "drop table experiment_answers",
                     "update alembic_version set version_num = '0002'",
                     "insert into experiment_stops (experiment, variant, reason) values ('x', 'B', 'too slow')"):
            connection.exec_driver_sql(step)
    engine.dispose()
    with contextlib.closing(Recorder(address, key="k" * 32)) as recorder, recorder._session() as connection:
        assert [row.reason for row in connection.execute(recorder.stops.select())] == ["too slow"]
        assert connection.execute(recorder.answers.select()).all() == []


def test_the_latest_rows_with_feedback_are_found_by_their_index(address):
    recorder = Recorder(address, key="k" * 32)
    ids = [recorder.record([f"text {i}"], answer(1))[0] for i in range(30)]
    recorder.tell_all([(ids[i], "negative" if i % 2 else "neutral") for i in (3, 25, 8, 14)])
    assert [row["true_label"] for row in recorder.told_lately(3)] == ["neutral", "neutral", "negative"]
    assert [row["id"] for row in recorder.latest(2)] == ids[-2:] and recorder.told_lately(0) == []
    if recorder.engine.dialect.name == "sqlite":
        query = ("explain query plan select label, true_label from predictions where true_label is not null "
                 "order by number desc limit 3")
        with recorder._session() as connection: plan = str(connection.exec_driver_sql(query).all())
        assert "ix_predictions_told" in plan
    recorder.close()


def test_many_words_are_one_transaction(address):
    recorder = Recorder(address, key="k" * 32)
    ids = recorder.record(["one", "two"], answer(2), variant="B")
    before = sum(recorder.writer.groups)
    told = recorder.tell_all([(ids[0], "negative"), ("nobody", "neutral"), (ids[1], "neutral"), (ids[0], "positive")])
    assert [word and word.before for word in told] == [None, None, None, "negative"] and told[1] is None
    assert sum(recorder.writer.groups) == before + 1 and len(recorder.feedback()) == 3
    assert recorder.tell_all([]) == []
    recorder.close()


def test_a_migrated_database_has_the_tables_of_the_program(address):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    recorder = Recorder(address, key="k" * 32)
    with recorder.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), recorder.table.metadata)
    recorder.close()
    wanted = [step for step in found if not (step[0] == "remove_table" and step[1].name == "alembic_version")]
    assert wanted == []


def test_programs_that_open_a_new_database_at_once(address):
    with ThreadPoolExecutor(6) as pool:
        recorders = list(pool.map(lambda _: Recorder(address, key="k" * 32), range(6)))
    for recorder in recorders: recorder.record(["hello"], answer(1))
    assert len(recorders[0].rows()) == 6
    for recorder in recorders: recorder.close()


def test_a_database_of_a_newer_program_is_left_alone(tmp_path):
    Recorder(tmp_path/"new.db").close()
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path/'new.db'}")
    with engine.begin() as connection: connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(RecordingError, match="newer llmcourse"): Recorder(tmp_path/"new.db")


def test_senders_on_a_server_need_a_key(postgres, monkeypatch):
    monkeypatch.delenv("LLMCOURSE_RECORD_KEY", raising=False)
    recorder = Recorder(postgres)
    with pytest.raises(RecordingError, match="LLMCOURSE_RECORD_KEY"): recorder.record(["x"], answer(1), sender="ann")
    recorder.record(["x"], answer(1))
    monkeypatch.setenv("LLMCOURSE_RECORD_KEY", "k" * 32)
    Recorder(postgres).record(["x"], answer(1), sender="ann")


def test_the_migrations_are_packaged():
    import llmcourse.migrations
    folder = Path(llmcourse.migrations.__file__).parent
    assert (folder/"env.py").exists() and (folder/"script.py.mako").exists()
    assert sorted(path.name[:4] for path in (folder/"versions").glob("0*.py")) == ["0001", "0002", "0003"]
