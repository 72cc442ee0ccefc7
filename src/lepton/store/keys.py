"""Keys: the root key wraps a key per project, which wraps a key per scope. Deleting a key deletes its data.

Only wrapped keys are stored, in a database of their own when embedded, so that a backup of the catalog holds none.
A scope names what the key is for (``dataset/<id>/personal``) and never holds data. The root key's file:
``root_key.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag

from lepton.core.errors import Internal, NotFound
from lepton.core.settings import Settings
from lepton.store import root_key
from lepton.store.ciphers import decrypt, derive, encrypt, new_key
from lepton.store.database import NAMING, Database
from lepton.store.key_cache import KeyCache
from lepton.store.root_key import load_root_key, root_id

__all__ = ["Keyring", "keys_metadata", "load_root_key", "open_keyring", "rotate_root_key"]

keys_metadata = sa.MetaData(naming_convention=NAMING)
_root = sa.Table(
    "root_key",  # one row: which root key wraps all project keys; locked by whatever changes keys
    keys_metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("root_id", sa.Text, nullable=False),
)
_projects = sa.Table(
    "project_keys",
    keys_metadata,
    sa.Column("project", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)
_keys = sa.Table(
    "wrapped_keys",
    keys_metadata,
    sa.Column("project", sa.ForeignKey("project_keys.project"), primary_key=True),
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

# Made once, as every run makes and reads keys.
_HIT = (_keys.c.project == sa.bindparam("in_project")) & (_keys.c.scope == sa.bindparam("for_scope"))
_HOLD_ROOT = sa.select(_root.c.root_id).with_for_update()
_PROJECT_KEY = sa.select(_projects.c.wrapped).where(_projects.c.project == sa.bindparam("in_project"))
_HAS_KEY = sa.select(_keys.c.scope).where(_HIT)
_ADD_KEY = sa.insert(_keys)
_READ_KEY = (  # one statement, so that a rotation cannot come between the keys
    sa.select(_root.c.root_id, _projects.c.wrapped, _keys.c.wrapped)
    .select_from(_keys.join(_projects).join(_root, sa.true()))
    .where(_HIT)
)

_SCOPE = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")
_SEAL = b"lepton/seal/1"


class _OtherRootKey(Internal):
    """The keys are wrapped with another root key than ours."""


class Keyring:
    """Makes, hands out and destroys data keys; safe to share between threads.

    Args:
        database: Holds the wrapped keys; brought to the newest schema here.
        root_key: 32 bytes.
        reload: Returns the current root key; asked when another process rotated it.
        cache_s: How long an unwrapped key stays in memory, and so how long after a shredding in one process another
            one may still hold the key.
    """

    def __init__(
        self,
        database: Database,
        root_key: bytes,
        *,
        reload: Callable[[], bytes] | None = None,
        cache_s: float = 60.0,
    ) -> None:
        database.upgrade("keys")
        self._database = database
        self._root_key = root_key
        self._reload = reload
        self._cache = KeyCache(cache_s)

    def create(self, project: str, scope: str) -> None:
        """Make the key of `scope` if there is none yet."""
        _check_scope(scope)

        def insert(tx: sa.Connection) -> None:
            project_key = self._project_key(tx, project)
            if project_key is None:
                project_key = new_key()
                wrapped = encrypt(self._root_key, project_key, _project_binding(project))
                tx.execute(sa.insert(_projects).values(project=project, wrapped=wrapped))
            if tx.execute(_HAS_KEY, {"in_project": project, "for_scope": scope}).first() is None:
                wrapped = encrypt(project_key, new_key(), _data_binding(project, scope))
                tx.execute(_ADD_KEY, {"project": project, "scope": scope, "wrapped": wrapped})

        self._change(insert)

    def get(self, project: str, scope: str) -> bytes:
        """Return the 32 bytes of the scope's key.

        Raises:
            NotFound: if the key was never made, or was shredded with the data it protected.
            Internal: if the stored key was changed, or the root key is not the one it was wrapped with.
        """
        cached, generation = self._cache.get((project, scope))
        if cached is not None:
            return cached
        try:
            key = self._read(project, scope)
        except _OtherRootKey:  # rotated by another process, or while we looked
            self._refresh_root_key()
            key = self._read(project, scope)
        self._cache.put((project, scope), key, generation)
        return key

    def seal(self, project: str, scope: str, plain: bytes, *, label: str) -> bytes:
        """Encrypt a small document with the scope's key, making the key if it is missing.

        Args:
            project: The project's id.
            scope: Whose key to use.
            plain: What to encrypt.
            label: What the document is; `unseal` needs the same one.
        """
        try:
            key = self.get(project, scope)
        except NotFound:
            self.create(project, scope)
            key = self.get(project, scope)
        return encrypt(derive(key, _SEAL), plain, _binding("seal", project, scope, label))

    def unseal(self, project: str, scope: str, sealed: bytes, *, label: str) -> bytes:
        """Return the document that `seal` encrypted under the same label.

        Raises:
            NotFound: if the key was shredded.
            Internal: if the document was changed or is another one.
        """
        key = derive(self.get(project, scope), _SEAL)
        try:
            return decrypt(key, sealed, _binding("seal", project, scope, label))
        except InvalidTag:
            raise Internal("A sealed document is damaged or was changed outside of Lepton.") from None

    def shred(self, project: str, scope: str) -> None:
        """Destroy the key of `scope` and of every scope below it; their data can never be read again.

        Afterwards the wrapped keys are found nowhere in the files of an embedded database. PostgreSQL keeps them in
        its write-ahead log and backups until those are recycled; there they open nothing once the root key was
        rotated and the old one destroyed.

        Raises:
            Unavailable: if the key is gone but the database's log could not be emptied; calling again is safe.
        """
        _check_scope(scope)
        below = scope + "/"
        # Not LIKE: in SQLite it ignores case, and ids come in capitals and in small letters.
        hit = (_keys.c.scope == scope) | (sa.func.substr(_keys.c.scope, 1, len(below)) == below)
        with self._database.begin() as tx:
            tx.execute(sa.delete(_keys).where(_keys.c.project == project, hit))
        self._cache.clear()
        self._database.erase_deleted(_keys)

    def scopes(self, kind: str) -> list[tuple[str, str]]:
        """Return the project and the scope of every key whose scope begins with the word `kind`."""
        begin = f"{kind}/"
        query = sa.select(_keys.c.project, _keys.c.scope).where(sa.func.substr(_keys.c.scope, 1, len(begin)) == begin)
        with self._database.read() as tx:
            return [(project, scope) for project, scope in tx.execute(query)]

    def rotate_root(self, new_root_key: bytes) -> None:
        """Wrap every project key with `new_root_key`, in one transaction; no data is rewritten.

        Says nothing to the root key's file: `rotate_root_key` does both so that a crash loses nothing.
        """

        def rewrap(tx: sa.Connection) -> None:
            for project, wrapped in tx.execute(sa.select(_projects.c.project, _projects.c.wrapped)).all():
                binding = _project_binding(project)
                rewrapped = encrypt(new_root_key, _unwrap(self._root_key, wrapped, binding), binding)
                tx.execute(sa.update(_projects).where(_projects.c.project == project).values(wrapped=rewrapped))
            tx.execute(sa.update(_root).values(root_id=root_id(new_root_key)))

        self._change(rewrap)
        self._root_key = new_root_key
        self._database.erase_deleted(_projects)

    def rotate_project(self, project: str) -> None:
        """Give the project a new key and wrap all its data keys with it, in one transaction; no data is rewritten."""

        def rewrap(tx: sa.Connection) -> None:
            old, new = self._project_key(tx, project), new_key()
            if old is None:
                return
            mine = sa.select(_keys.c.scope, _keys.c.wrapped).where(_keys.c.project == project)
            for scope, wrapped in tx.execute(mine).all():
                binding = _data_binding(project, scope)
                rewrapped = encrypt(new, _unwrap(old, wrapped, binding), binding)
                hit = (_keys.c.project == project) & (_keys.c.scope == scope)
                tx.execute(sa.update(_keys).where(hit).values(wrapped=rewrapped))
            wrapped = encrypt(self._root_key, new, _project_binding(project))
            tx.execute(sa.update(_projects).where(_projects.c.project == project).values(wrapped=wrapped))

        self._change(rewrap)
        self._database.erase_deleted(_projects)
        self._database.erase_deleted(_keys)

    def close(self) -> None:
        """Forget all keys and close the database of keys."""
        self._cache.clear()
        self._database.close()

    def use_root_key(self, root_key: bytes) -> None:
        """Go on with this root key, which is the one the database names."""
        self._root_key = root_key

    def _read(self, project: str, scope: str) -> bytes:
        with self._database.read() as tx:
            row = tx.execute(_READ_KEY, {"in_project": project, "for_scope": scope}).one_or_none()
        if row is None:
            raise NotFound("The key of this data does not exist: the data was deleted and cannot be read again.")
        root = self._root_key
        _check_root_key(root, row[0])
        return _unwrap(_unwrap(root, row[1], _project_binding(project)), row[2], _data_binding(project, scope))

    def _change(self, work: Callable[[sa.Connection], None]) -> None:
        try:
            self._attempt(work)
        except _OtherRootKey:  # rotated by another process
            self._refresh_root_key()
            self._attempt(work)
        except sa.exc.IntegrityError:  # in PostgreSQL another process can insert the same between a look and a write
            self._attempt(work)

    def _attempt(self, work: Callable[[sa.Connection], None]) -> None:
        with self._database.begin() as tx:
            # Whoever changes keys holds this row, so that nothing is wrapped with a key that is being rotated away.
            named = tx.execute(_HOLD_ROOT).scalar_one_or_none()
            if named is None:
                tx.execute(sa.insert(_root).values(id=1, root_id=root_id(self._root_key)))
            else:
                _check_root_key(self._root_key, named)
            work(tx)

    def _refresh_root_key(self) -> None:
        if self._reload is not None:
            self._root_key = self._reload()

    def _project_key(self, tx: sa.Connection, project: str) -> bytes | None:
        wrapped = tx.execute(_PROJECT_KEY, {"in_project": project}).scalar_one_or_none()
        return None if wrapped is None else _unwrap(self._root_key, wrapped, _project_binding(project))


def open_keyring(settings: Settings) -> Keyring:
    """Open a platform's keyring, with its root key read or made; `Keyring.close` closes its database too."""
    database = Database(settings.keys_url)
    database.upgrade("keys")

    def current() -> bytes:
        return root_key.recover(settings.root_key, wrapped_by=lambda: _root_named(database))

    try:
        return Keyring(database, current(), reload=current)
    except BaseException:
        database.close()
        raise


def rotate_root_key(settings: Settings, keyring: Keyring) -> None:
    """Replace the root key and its file. A crash at any moment leaves a platform that opens: see ``root_key.py``."""
    database = Database(settings.keys_url)
    file = settings.root_key
    try:
        with root_key.locked(file):
            keyring.use_root_key(root_key.recover_locked(file, _root_named(database)))
            try:
                keyring.rotate_root(root_key.prepare_next(file))
            finally:
                root_key.recover_locked(file, _root_named(database))
    finally:
        database.close()


def _root_named(database: Database) -> str | None:
    with database.read() as tx:
        return tx.execute(sa.select(_root.c.root_id)).scalar_one_or_none()


def _check_root_key(root: bytes, named: str) -> None:
    if root_id(root) != named:
        raise _OtherRootKey("The root key is not the one the stored keys were made with. Restore root.key.")


def _check_scope(scope: str) -> None:
    if not _SCOPE.fullmatch(scope):
        raise ValueError(f"{scope!r} is not a key scope. Scopes look like 'run/<id>' and never hold data.")


def _unwrap(key: bytes, wrapped: bytes, binding: bytes) -> bytes:
    try:
        return decrypt(key, wrapped, binding)
    except InvalidTag:
        raise Internal("A stored key is damaged or was changed outside of Lepton. Restore it from a backup.") from None


def _project_binding(project: str) -> bytes:
    return _binding("project-key", project)


def _data_binding(project: str, scope: str) -> bytes:
    return _binding("data-key", project, scope)


def _binding(*parts: str) -> bytes:
    # Lengths in front, so that no two lists of parts give the same bytes.
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in ("lepton/1", *parts)))


@dataclass(frozen=True)
class Seal:
    """Encrypts the texts of one scope under its key, each for its own place.

    Raises:
        NotFound: from every method, if the key has been shredded.
    """

    keyring: Keyring
    project: str
    scope: str

    def close(self, place: str, text: str) -> bytes:
        """Encrypt a text."""
        self.keyring.get(self.project, self.scope)  # sealing alone would replace a key that was shredded on purpose
        return self.keyring.seal(self.project, self.scope, text.encode(), label=f"{self.scope}/{place}")

    def open(self, place: str, sealed: bytes) -> str:
        """Decrypt what was encrypted for a place."""
        return self.keyring.unseal(self.project, self.scope, sealed, label=f"{self.scope}/{place}").decode()
