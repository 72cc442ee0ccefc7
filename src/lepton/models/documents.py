"""What is kept of a version under its own key: its card (target, notes), signature, plots and the
profile of what it learned from, as sealed JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from lepton.core.columns import ColumnClass
from lepton.datasets.profile import ColumnProfile
from lepton.models.records import Plot, TrainingProfile
from lepton.models.signature import Signature
from lepton.store.keys import Keyring


def scope_of(version_id: str) -> str:
    """Name the key of a version."""
    return f"model/{version_id}"


@dataclass(frozen=True)
class Card:
    """What a list of versions shows that is learned from data."""

    target: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Documents:
    """Seals and opens the documents of one version."""

    keyring: Keyring
    project: str
    version_id: str

    def seal_card(self, card: Card) -> bytes:
        """Seal the card."""
        return self._seal("card", json.dumps({"target": card.target, "notes": card.notes}).encode())

    def card(self, sealed: bytes) -> Card:
        """Open the card."""
        value = json.loads(self._open("card", sealed))
        return Card(value["target"], tuple(value["notes"]))

    def seal_signature(self, signature: Signature) -> bytes:
        """Seal the signature."""
        return self._seal("signature", signature.to_json())

    def signature(self, sealed: bytes) -> Signature:
        """Open the signature."""
        return Signature.from_json(self._open("signature", sealed))

    def seal_plots(self, plots: Iterable[Plot], *, place: str = "plots") -> bytes:
        """Seal plots for one place: the version itself, or one of its evaluations."""
        written = [{"kind": p.kind, "data": p.data, "learned_from": sorted(p.learned_from)} for p in plots]
        return self._seal(place, json.dumps(written, allow_nan=False).encode())

    def plots(self, sealed: bytes, *, place: str = "plots") -> tuple[Plot, ...]:
        """Open plots of one place."""
        return tuple(
            Plot(plot["kind"], plot["data"], frozenset(map(ColumnClass, plot["learned_from"])))
            for plot in json.loads(self._open(place, sealed))
        )

    def seal_profile(self, profile: TrainingProfile) -> bytes:
        """Seal what the rows looked like that it learned from."""
        written = {"rows": profile.rows, "columns": [column.to_json() for column in profile.columns]}
        return self._seal("profile", json.dumps(written).encode())

    def profile(self, sealed: bytes) -> TrainingProfile:
        """Open what the rows looked like that it learned from."""
        read = json.loads(self._open("profile", sealed))
        return TrainingProfile(read["rows"], tuple(ColumnProfile.from_json(column) for column in read["columns"]))

    def _seal(self, place: str, plain: bytes) -> bytes:
        scope = scope_of(self.version_id)
        return self.keyring.seal(self.project, scope, plain, label=f"{scope}/{place}")

    def _open(self, place: str, sealed: bytes) -> bytes:
        scope = scope_of(self.version_id)
        return self.keyring.unseal(self.project, scope, sealed, label=f"{scope}/{place}")
