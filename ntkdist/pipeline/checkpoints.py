"""Checkpoints of an iteration in the run store: two slots in turn, so that one whole state always stands."""

from __future__ import annotations

from typing import Any

from ntkdist.store import RunStore

State = dict[str, Any]
_SLOTS = ("checkpoint-0", "checkpoint-1")


class Checkpoints:
    """The states of one iteration, known by ``key`` (its settings and what it stands on)."""

    def __init__(self, store: RunStore, key: str) -> None:
        self._store = store
        self._key = key
        self.about: dict[str, str] = {}

    def save(self, state: State) -> None:
        """Write a state into the older slot; the other one stays until it is whole."""
        newest = self._newest()
        slot = _SLOTS[0] if newest is None or newest[0] == _SLOTS[1] else _SLOTS[1]
        self._store.finish_stage(slot, self._key, {"passes": int(state["passes"][0]), "about": self.about}, state)

    def load(self) -> State | None:
        """The newest whole state with this key, or None."""
        newest = self._newest()
        if newest is None:
            return None
        slot, labels = newest
        return {label: self._store.stage_array(slot, label) for label in labels}

    def note(self) -> dict[str, str]:
        """What was written :attr:`about` the iteration with its newest state; empty where there is none."""
        newest = self._newest()
        if newest is None:
            return {}
        finished = self._store.stage(newest[0], self._key)
        assert finished is not None
        return dict(finished.result["about"])

    def clear(self) -> None:
        """Forget all states: the iteration is over."""
        for slot in _SLOTS:
            self._store.drop_stage(slot)

    def _newest(self) -> tuple[str, tuple[str, ...]] | None:
        found = [(s, r) for s in _SLOTS if (r := self._store.stage(s, self._key)) is not None]
        if not found:
            return None
        slot, result = max(found, key=lambda pair: int(pair[1].result["passes"]))
        return slot, result.arrays
