"""An engine that is warmed up on one database and taken for another."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, StaticPool

from imgrelay_dagster.dagster_patches.spare_engine import SpareEngines


def use(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table if not exists seen (number integer)"))
        connection.execute(text("insert into seen values (1)"))


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("select count(*) from seen")).scalar_one())


def test_the_spare_engine_is_taken_once_and_writes_where_it_was_taken_for(tmp_path: Path):
    for pool in (NullPool, StaticPool):
        addresses = [f"sqlite:///{tmp_path}/{pool.__name__}-{number}.db" for number in range(2)]
        warmed: list[Engine] = []
        spare = SpareEngines(pool, 5.0)
        spare.warm_up(lambda engine: (use(engine), warmed.append(engine))[0])  # noqa: B023
        first, second = map(spare.take, addresses)
        assert first is warmed[0]
        assert second is not first
        assert [str(first.url), str(second.url)] == addresses
        use(first)
        for _ in range(3):
            use(second)
        assert [rows(first), rows(second)] == [1, 3]  # none from the warm-up
        for number in range(2):
            assert (tmp_path / f"{pool.__name__}-{number}.db").is_file()


def test_without_a_warm_up_each_engine_is_new(tmp_path: Path):
    spare = SpareEngines(NullPool, 5.0)
    first, second = (spare.take(f"sqlite:///{tmp_path}/{number}.db") for number in range(2))
    use(first)
    use(second)
    assert [rows(first), rows(second)] == [1, 1]


def test_an_engine_that_is_given_back_is_taken_for_another_database(tmp_path: Path):
    spare = SpareEngines(StaticPool, 5.0)
    first = spare.take(f"sqlite:///{tmp_path}/first.db")
    use(first)
    spare.give_back(first)
    assert len(spare) == 1
    assert spare.take(f"sqlite:///{tmp_path}/second.db") is first
    use(first)
    use(first)
    assert rows(first) == 2
    assert rows(spare.take(f"sqlite:///{tmp_path}/first.db")) == 1


def test_a_commit_does_not_wait_for_the_disk(tmp_path: Path):
    engine = SpareEngines(StaticPool, 5.0).take(f"sqlite:///{tmp_path}/events.db")
    with engine.connect() as connection:
        assert connection.execute(text("pragma synchronous")).scalar_one() == 1  # NORMAL; FULL is 2
