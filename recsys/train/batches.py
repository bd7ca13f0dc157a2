"""What a training step works on: drawn from keys alone (seed, epoch, step), so that any step can be
drawn again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil
from typing import cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from recsys.core.arrays import Float64Array, Int64Array
from recsys.core.config import TrainConfig
from recsys.core.distinct import distinct
from recsys.core.errors import ConfigError
from recsys.core.interactions import Interactions
from recsys.graph.histories import HistoryBlocks
from recsys.graph.present_sources import with_present_sources
from recsys.graph.sampling import BlockSampler
from recsys.graph.schema import ITEM, USER, Block, NodeType, block_to
from recsys.graph.temporal import TemporalSampler
from recsys.train.candidates import CandidateGroup
from recsys.train.losses import loss_named
from recsys.train.negatives import Negatives
from recsys.train.neighbours import NeighbourPositives
from recsys.train.ranks import ALONE, Ranks

_STEPS_AN_EPOCH, _SMALLEST_BATCH, _LARGEST_BATCH = 50, 1024, 4096
_STEPS, _FEWEST_EPOCHS = 1000, 3
# What a random stream is for: the epoch's order of pairs, the draws of one step.
_ORDER, _STEP = 0, 1


def pair_moments(interactions: Interactions, target: str) -> Int64Array:
    """(pairs,) unix seconds of the first row of every pair of `target`, by user and item. Raises
    ConfigError.
    """
    moments = interactions.moments
    if moments is None:
        raise ConfigError(
            f"train.time_respecting needs times, and {interactions.no_moments}",
            "Name the time column (data.time_col), or leave train.time_respecting out",
        )
    rows = np.flatnonzero(interactions.of(target))
    user = interactions.user[rows].astype(np.int64)
    pair = user * interactions.num_items + interactions.item[rows]
    time = moments[rows]
    order = np.lexsort((time, pair))
    _, first = np.unique(pair[order], return_index=True)
    first_moments: Int64Array = time[order][first]
    return first_moments


def batch_size(pairs: int, config: TrainConfig) -> int:
    """Pairs a step: as configured, else enough for about fifty steps an epoch."""
    return config.batch_size or min(max(pairs // _STEPS_AN_EPOCH, _SMALLEST_BATCH), _LARGEST_BATCH)


def with_epochs(config: TrainConfig, pairs: int) -> TrainConfig:
    """The configuration with a number of epochs where it leaves that open.

    A large log teaches as much in fewer passes: what counts is the number of steps.
    """
    if config.epochs is not None:
        return config
    steps = ceil(max(pairs, 1) / batch_size(pairs, config))
    epochs = min(max(ceil(_STEPS / steps), _FEWEST_EPOCHS), config.most_epochs)
    return config.model_copy(update={"epochs": epochs})


@dataclass(frozen=True)
class Batch:
    """One optimiser step.

    groups: pairs with their candidates; where processes train together, this one's pairs.
    pairs: in all groups of all processes together.
    blocks: the sampled neighbourhood of all users and items in the groups, outermost layer first;
        None in full-graph mode, where rows are dense ids.
    hidden: (users of the outermost block,) bool, who trains the visitor's state.
    users, items: (pairs,) dense ids of all processes' pairs, for the penalty on layer-0 states.
    key: seed of this step's other draws.
    """

    groups: tuple[CandidateGroup, ...]
    pairs: int
    blocks: list[Block] | None
    hidden: Tensor | None
    users: Tensor
    items: Tensor
    key: int

    def to(self, device: torch.device) -> "Batch":
        if device.type == "cpu":
            return self
        blocks = self.blocks
        if blocks is not None:
            blocks = [block_to(block, device) for block in blocks]
        return replace(
            self,
            groups=tuple(group.to(device) for group in self.groups),
            blocks=blocks,
            hidden=None if self.hidden is None else self.hidden.to(device),
            users=self.users.to(device),
            items=self.items.to(device),
        )


class Batches:
    """Draws the steps of any epoch.

    Args:
        positives: (users, items) known pairs of the target behaviour; every one is visited once an
            epoch.
        config: how candidates are drawn.
        seed: of all draws.
        sampler: draws neighbourhoods; None means full-graph mode. With HistoryBlocks every pair has
            a user of its own.
        moments: (pairs,) when each came about, in the order of `positives`; with a TemporalSampler
            alone. A step then takes pairs of one stretch of time, and what it samples is from
            before the first of them.
        ranks: the processes that share a step. Each draws all of it and works out its own part.
    """

    def __init__(
        self,
        positives: sparse.csr_matrix,
        config: TrainConfig,
        seed: int,
        sampler: BlockSampler | TemporalSampler | HistoryBlocks | None,
        moments: Int64Array | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self._known = positives
        self._config = config
        self._seed = seed
        self._sampler = sampler
        self._moments = moments
        self._ranks = ranks
        self._size = batch_size(positives.nnz, config)
        self._user = np.repeat(np.arange(positives.shape[0]), np.diff(positives.indptr))
        self._item = positives.indices.astype(np.int64)
        degrees = np.bincount(self._item, minlength=positives.shape[1])
        self._popularity = degrees / max(len(self._item), 1)
        self._negatives = Negatives(degrees, config)
        self._one_rival = loss_named(config.loss).one_rival
        self._neighbours: NeighbourPositives | None = None
        if config.neighbour_positives:
            self._neighbours = NeighbourPositives(positives, config)
        self._column = np.full(positives.shape[1], -1, np.int32)

    @property
    def steps(self) -> int:
        """Steps an epoch."""
        return -(-len(self._user) // self._size)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of one epoch, in order; the same for the same (seed, epoch)."""
        order = np.random.default_rng([self._seed, _ORDER, epoch])
        for step, pairs in enumerate(self._cut(order)):
            draw = np.random.default_rng([self._seed, _STEP, epoch, step])
            yield self._batch(pairs, draw)

    def _cut(self, draw: np.random.Generator) -> list[Int64Array]:
        """The pairs of every step: any, or those of one stretch of time, and then the stretches in
        any order.
        """
        borders = np.arange(self._size, len(self._user), self._size)
        if self._moments is None:
            return np.split(draw.permutation(len(self._user)), borders)
        stretches = np.split(np.argsort(self._moments, kind="stable"), borders)
        return [stretches[number] for number in draw.permutation(len(stretches))]

    def _batch(self, pairs: Int64Array, draw: np.random.Generator) -> Batch:
        user, item = self._user[pairs], self._item[pairs]
        if self._neighbours:
            more_users, more_items = self._neighbours.draw(user, item, draw)
            user = np.concatenate([user, more_users])
            item = np.concatenate([item, more_items])
        own = self._ranks.part(len(user))
        groups = self._groups(user, item, own, draw)
        key = int(draw.integers(2**31))
        blocks = None
        num_users = self._known.shape[0]
        if isinstance(self._sampler, HistoryBlocks):
            block = self._sampler.before(pairs, user, (key,), own)
            items = _items_of(item[own], groups)
            block = with_present_sources(block, {ITEM: items})
            groups = _of_own_users(groups, block.nodes[ITEM])
            blocks = [block]
            num_users = len(user)
        elif self._sampler:
            before = 0 if self._moments is None else int(self._moments[pairs].min())
            groups, blocks = self._sampled(user, item, groups, key, before)
            num_users = len(blocks[0].nodes[USER])
        return Batch(
            groups=tuple(groups),
            pairs=len(user),
            blocks=blocks,
            hidden=self._hidden(num_users, draw, own),
            users=torch.from_numpy(user),
            items=torch.from_numpy(item),
            key=key,
        )

    def _hidden(self, num_users: int, draw: np.random.Generator, own: slice) -> Tensor | None:
        """own: the pairs of this process, of which each has a user where there are several."""
        share = self._config.user_dropout
        if not share:
            return None
        hidden = draw.random(num_users, dtype=np.float32) < share
        return torch.from_numpy(hidden if self._ranks.size == 1 else hidden[own])

    def _groups(
        self, user: Int64Array, item: Int64Array, own: slice, draw: np.random.Generator
    ) -> list[CandidateGroup]:
        """Pairs with their candidates, which are drawn for whole groups; own: places of the pairs
        that are wanted.
        """
        size = self._config.share_size
        groups = []
        for start in range(0, len(user), size):
            rows = slice(start, start + size)
            first, last = max(own.start - start, 0), min(own.stop - start, size)
            group = self._group(user[rows], item[rows], slice(first, last), draw)
            if group is not None:
                groups.append(group)
        return groups

    def _group(
        self, user: Int64Array, item: Int64Array, own: slice, draw: np.random.Generator
    ) -> CandidateGroup | None:
        """The pairs `own` of a group; None where there is none of them."""
        if self._one_rival:
            return self._rivals(user, item, own, draw)
        negatives = self._negatives.draw(self._config.negatives, draw)
        if own.start >= own.stop:
            return None
        in_batch = item if self._config.in_batch else item[:0]
        drawn = np.concatenate([in_batch, negatives])
        candidates, counts = np.unique(drawn, return_counts=True)
        # A candidate that was drawn n times counts n times: e^{s + ln n}.
        user, item = user[own], item[own]
        bias, own_bias = np.log(counts), np.zeros(len(item))
        if self._config.log_q:
            expected = self._log_expected(len(in_batch), len(negatives))
            bias = bias - expected[candidates]
            own_bias = -expected[item]
        known = self._known_among(user, item, candidates)
        share = len(candidates) / self._known.shape[1]
        return CandidateGroup.of_arrays(user, item, candidates, bias, own_bias, known, share)

    def _log_expected(self, num_in_batch: int, num_negatives: int) -> Float64Array:
        """(items,) ln of how often a group is expected to hold each item (Yi et al. 2019)."""
        by_pairs = num_in_batch * self._popularity
        expected = by_pairs + self._negatives.expected(num_negatives)
        return np.log(np.maximum(expected, 1e-12))

    def _rivals(
        self, user: Int64Array, item: Int64Array, own: slice, draw: np.random.Generator
    ) -> CandidateGroup | None:
        """One rival a pair: candidate n is that of pair n, and known where it is a known positive."""
        rivals = self._negatives.draw(len(user), draw)
        if own.start >= own.stop:
            return None
        is_known = np.asarray(self._known[user, rivals]).ravel().astype(bool)
        stands_for = None
        if self._ranks.size > 1:
            # The mean is one over the pairs whose rival is not known.
            num_counted = int((~is_known).sum())
            stands_for = len(user) * int((~is_known[own]).sum()) / max(num_counted, 1)
        user, item, rivals, is_known = user[own], item[own], rivals[own], is_known[own]
        pair = np.flatnonzero(is_known)
        zeros = np.zeros(len(user))
        known = np.stack([pair, pair])
        return CandidateGroup.of_arrays(
            user, item, rivals, zeros, zeros, known, stands_for=stands_for
        )

    def _known_among(
        self, user: Int64Array, item: Int64Array, candidates: Int64Array
    ) -> Int64Array:
        """(2, n) places (pair, candidate) of known positives and of the pair's own item, known or
        not.
        """
        self._column[candidates] = np.arange(len(candidates))
        known = self._known[user]
        column = self._column[known.indices]
        own_column = self._column[item]
        self._column[candidates] = -1
        # Most positives are no candidates: what is long stays narrow, int32.
        positives = np.flatnonzero(column >= 0)
        pair = np.repeat(np.arange(len(user), dtype=np.int32), np.diff(known.indptr))
        own = np.flatnonzero(own_column >= 0)
        pairs = np.concatenate([pair[positives], own])
        columns = np.concatenate([column[positives], own_column[own]])
        return np.stack([pairs, columns], dtype=np.int64)

    def _sampled(
        self,
        user: Int64Array,
        item: Int64Array,
        groups: list[CandidateGroup],
        key: int,
        before: int,
    ) -> tuple[list[CandidateGroup], list[Block]]:
        """Groups in rows of the seeds, and the blocks around the seeds without the pairs to be
        predicted.

        Args:
            user, item: (pairs,) dense ids.
            groups: in dense ids.
            key: seed of the draws.
            before: with moments, the time at which the neighbourhoods end.
        """
        seeds: dict[NodeType, Tensor] = {
            USER: torch.from_numpy(distinct(user)),
            ITEM: torch.unique(_items_of(item, groups)),
        }
        blocks = self._blocks(seeds, user, item, key, before)
        numbered = []
        for group in groups:
            users = torch.searchsorted(seeds[USER], group.users)
            numbered.append(_in_rows(group, users, seeds[ITEM]))
        return numbered, blocks

    def _blocks(
        self,
        seeds: dict[NodeType, Tensor],
        user: Int64Array,
        item: Int64Array,
        key: int,
        before: int,
    ) -> list[Block]:
        if isinstance(self._sampler, TemporalSampler):
            ends = {kind: torch.full_like(ids, before) for kind, ids in seeds.items()}
            return self._sampler.sample(seeds, ends, key)
        sampler = cast(BlockSampler, self._sampler)
        predicted = torch.from_numpy(user), torch.from_numpy(item)
        return sampler.sample(seeds, predicted, key)


def _items_of(item: Int64Array, groups: list[CandidateGroup]) -> Tensor:
    """Ids of the items of some pairs and of their candidates."""
    return torch.cat([torch.from_numpy(item), *[group.candidates for group in groups]])


def _of_own_users(groups: list[CandidateGroup], items: Tensor) -> list[CandidateGroup]:
    """The groups with a user for each pair, numbered through. items: ascending ids of the rows."""
    numbered = []
    first = 0
    for group in groups:
        users = torch.arange(first, first + len(group.users))
        numbered.append(_in_rows(group, users, items))
        first += len(group.users)
    return numbered


def _in_rows(group: CandidateGroup, users: Tensor, items: Tensor) -> CandidateGroup:
    """The group with rows in the place of ids. users: rows. items: ascending ids of the rows."""
    return replace(
        group,
        users=users,
        positives=torch.searchsorted(items, group.positives),
        candidates=torch.searchsorted(items, group.candidates),
    )
