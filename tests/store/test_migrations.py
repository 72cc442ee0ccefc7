"""The migrations and the tables as declared must be the same.

Draft the catalog's next migration from what the nouns' ``rows.py`` declare, then read and correct it:

    python tests/store/test_migrations.py "what changes"
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import lepton
from lepton.core.settings import Settings
from lepton.store.database import Database, metadata
from lepton.store.keys import keys_metadata
from lepton.store.migrations.runner import FOLDER, config, version_table

OWN_TABLES = {version_table("catalog"), version_table("keys")}


def import_rows() -> None:
    """Import every module of ours that declares a table, so that all tables are on `metadata`."""
    package = Path(lepton.__path__[0])
    for file in package.rglob("*.py"):
        if "sa.Table(" in file.read_text(encoding="utf-8"):
            importlib.import_module(".".join(("lepton", *file.relative_to(package).with_suffix("").parts)))


def differences(database: Database, *declared: sa.MetaData) -> list[object]:
    """Compare a database with what is declared; the tables of the versions are Alembic's own."""
    wanted = sa.MetaData()
    for source in declared:
        for table in source.tables.values():
            table.to_metadata(wanted)
    with database.begin() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True, "compare_server_default": True})
        return [change for change in compare_metadata(context, wanted) if not is_version_table(change)]


def is_version_table(change: object) -> bool:
    return isinstance(change, tuple) and change[0] == "remove_table" and change[1].name in OWN_TABLES


def test_migrated_databases_hold_exactly_the_declared_tables(settings: Settings) -> None:
    import_rows()
    wanted = {settings.catalog_url: [metadata], settings.keys_url: [keys_metadata]}
    if settings.catalog_url == settings.keys_url:
        wanted[settings.catalog_url] = [metadata, keys_metadata]
    for url, declared in wanted.items():
        with closing(Database(url)) as database:
            if metadata in declared:
                database.upgrade("catalog")
            if keys_metadata in declared:
                database.upgrade("keys")
            assert differences(database, *declared) == []


@pytest.mark.parametrize("branch", ["catalog", "keys"])
def test_upgrading_again_changes_nothing(database: Database, branch: str) -> None:
    database.upgrade(branch)
    database.upgrade(branch)


def test_foreign_keys_hold_again_after_an_upgrade(embedded: Settings) -> None:
    database = Database(embedded.keys_url)
    database.upgrade("keys")
    with database.read() as tx:
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1
    database.close()


def test_processes_that_start_together_upgrade_once(settings: Settings) -> None:
    program = "import sys; from lepton.store.database import Database; Database(sys.argv[1]).upgrade('keys')"
    started = [
        subprocess.Popen([sys.executable, "-c", program, settings.keys_url], stderr=subprocess.PIPE) for _ in range(3)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    database = Database(settings.keys_url)
    assert differences(database, keys_metadata) == []
    database.close()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "0001_broken.py").write_text(
        "import sqlalchemy as sa\n"
        "from alembic import op\n"
        "revision, down_revision, branch_labels, depends_on = '0001', None, None, None\n"
        "def upgrade():\n"
        "    op.create_table('half', sa.Column('id', sa.Integer()))\n"
        "    raise RuntimeError('broken')\n"
    )
    monkeypatch.setattr("lepton.store.migrations.runner.versions", lambda _branch: folder)
    with pytest.raises(RuntimeError, match="broken"):
        database.upgrade("catalog")
    with database.read() as tx:
        assert not sa.inspect(tx).has_table("half")


def test_points_that_were_rows_become_curves(settings: Settings) -> None:
    from lepton.runs import track_rows

    with closing(Database(settings.catalog_url)) as database:
        with database.begin() as connection:
            command.upgrade(config(connection, "catalog"), "0008")
            connection.exec_driver_sql(
                "INSERT INTO runs (id, project, task, state, workers, user_id, submitted_by, created_at, cancel_asked, "
                "progress, inputs, outputs, sealed_arguments, sealed_params) VALUES ('R', 'default', 'models.train', "
                f"'succeeded', 1, 'u', 'ann', '2026-01-01 00:00:00.000000', {'0' if database.is_sqlite else 'false'}, "
                "1.0, '[]', '[]', '', '')"
            )
            for step, key, value in ((1, "loss", "0.5"), (1, "rate", "1"), (2, "loss", "NULL"), (3, "loss", "0.25")):
                connection.exec_driver_sql(
                    "INSERT INTO run_metrics (run_id, key, step, time, value) "
                    f"VALUES ('R', '{key}', {step}, '2026-01-01 00:00:0{step}.500000', {value})"
                )
        database.upgrade("catalog")
        with database.read() as tx:
            points = track_rows.metrics(tx, "R")
            curves = track_rows.curves(tx, ["R"])["R"]
    assert [(p.key, p.step, p.time.second, p.value) for p in points if p.value == p.value] == [
        ("loss", 1, 1, 0.5), ("loss", 3, 3, 0.25), ("rate", 1, 1, 1.0),
    ]  # fmt: skip
    assert [p.step for p in points] == [1, 2, 3, 1]
    loss = curves["loss"]
    assert (loss.last_value, loss.last_step, loss.min_value, loss.max_value, loss.points) == (0.25, 3, 0.25, 0.5, 3)


def draft(message: str) -> None:
    """Write the next version into the package's ``migrations/catalog``."""
    import_rows()
    revision = f"{len(list((FOLDER / 'catalog').glob('0*.py'))) + 1:04d}"
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/catalog.db")
        database.upgrade("catalog")
        with database.begin() as tx:
            command.revision(config(tx, "catalog", metadata), message, autogenerate=True, rev_id=revision)
        database.close()


if __name__ == "__main__":
    draft(sys.argv[1])
