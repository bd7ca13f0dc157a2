"""How users are encoded from their neighbours, and the neighbours of those who are known.

Files: encoder.json, encoder.safetensors, states_<type>.npy, user_self.npy, and neighbours_<n>.*.npy,
the edges into users of the n-th relation in alphabetical order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from recsys.bundle.matrices import with_columns, without_column, without_row
from recsys.bundle.part import Facts, ForgottenUser, Kinds, Parts, registered, require_rows
from recsys.bundle.parts.users import Users
from recsys.bundle.storage import load_array, load_matrix, save_array, save_matrix
from recsys.cold_items.new_items import NewItems
from recsys.core.arrays import Float32Array
from recsys.core.encoder import LATEST, EncoderState
from recsys.core.errors import UsageError
from recsys.core.tables import ITEM, USER

_OWN_STATES = "user_self.npy"


@registered
@dataclass(frozen=True)
class Encoding:
    """What a user's vector is computed from.

    encoder: weights of the layers, and what neighbours send.
    neighbours: by relation into users, (users, sources) edge weights; the latest events of users
        under LATEST, for an encoder with a causal block.
    user_self: (users, d) layer-0 states. Where all are one, the file holds a single row.
    """

    encoder: EncoderState
    neighbours: Mapping[str, sparse.csr_matrix]
    user_self: Float32Array

    reads: ClassVar[Kinds] = (Users,)

    def check(self, num_users: int, num_items: int) -> None:
        require_rows("own states of users", len(self.user_self), num_users)
        for name, matrix in self.neighbours.items():
            require_rows(f"neighbours {name}", matrix.shape[0], num_users)
        needed = {relation.name for relation in self.encoder.relations}
        if self.encoder.causal_block:
            needed.add(LATEST)
        missing = sorted(needed - set(self.neighbours))
        if missing:
            raise UsageError(
                f"no neighbours for the relations {missing}",
                "Use decayed_edges(neighbours_into_users(graph.relations), histories, encoder)",
            )

    def save(self, folder: Path) -> Facts:
        self.encoder.save(folder)
        user_self = self.user_self.astype(np.float32, copy=False)
        # Users without states of their own share one, which `load` spreads without copying it.
        if (user_self == user_self[:1]).all():
            user_self = user_self[:1]
        save_array(folder / _OWN_STATES, user_self)
        num_sources = {}
        # By name: the number is all that a file says of its relation.
        for number, name in enumerate(sorted(self.neighbours)):
            matrix = self.neighbours[name]
            save_matrix(folder, f"neighbours_{number}", matrix, weighted=True)
            num_sources[name] = int(matrix.shape[1])
        return {"relations": num_sources}

    @classmethod
    def load(cls, folder: Path, facts: Facts, parts: Parts) -> Self:
        encoder = EncoderState.load(folder)
        neighbours = {}
        for number, name in enumerate(facts["relations"]):
            num_sources = facts["relations"][name]
            neighbours[name] = load_matrix(folder, f"neighbours_{number}", num_sources, True)
        user_self = load_array(folder / _OWN_STATES)
        if len(user_self) == 1:
            num_users = len(parts[Users].ids)
            user_self = np.broadcast_to(user_self, (num_users, user_self.shape[1]))
        return cls(encoder, neighbours, user_self)

    def append_items(self, new: NewItems, parts: Parts) -> "Encoding":
        from_items = self._relations_from(ITEM)
        neighbours = dict(self.neighbours)
        for name, matrix in self.neighbours.items():
            if name in from_items:
                neighbours[name] = with_columns(matrix, len(new))
        return replace(self, encoder=self._encoder_with(new), neighbours=neighbours)

    def drop_user(self, user: ForgottenUser) -> "Encoding":
        from_users = self._relations_from(USER)
        neighbours = {}
        for name, matrix in self.neighbours.items():
            edges = without_row(matrix, user.row)
            if name in from_users:
                # The user is a neighbour of others too.
                edges = without_column(edges, user.row)
            neighbours[name] = edges
        user_self = np.delete(self.user_self, user.row, axis=0)
        return Encoding(self._encoder_without(user.row), neighbours, user_self)

    def _relations_from(self, source: str) -> set[str]:
        names = {relation.name for relation in self.encoder.relations if relation.source == source}
        return names | {LATEST} if source == ITEM else names

    def _encoder_with(self, new: NewItems) -> EncoderState:
        """The encoder with what new items send; nothing leads to them yet."""
        encoder = self.encoder
        if ITEM not in encoder.states:
            return encoder
        # No edge leaves a new item before the next training: its degree is 0.
        no_degree = np.zeros(len(new), np.float32)
        relations = []
        for relation in encoder.relations:
            if relation.source == ITEM:
                degree = np.concatenate([relation.source_degree, no_degree])
                relation = replace(relation, source_degree=degree)
            relations.append(relation)
        states = dict(encoder.states)
        states[ITEM] = np.concatenate([states[ITEM], new.states], axis=1)  # nodes are axis 1
        return replace(encoder, states=states, relations=tuple(relations))

    def _encoder_without(self, row: int) -> EncoderState:
        """The encoder without what a user sends to others."""
        states = dict(self.encoder.states)
        if USER in states:
            states[USER] = np.delete(states[USER], row, axis=1)
        relations = []
        for relation in self.encoder.relations:
            if relation.source == USER:
                degree = np.delete(relation.source_degree, row)
                relation = replace(relation, source_degree=degree)
            relations.append(relation)
        return replace(self.encoder, states=states, relations=tuple(relations))
