"""Steps of a network whose users are histories: states of items are made once for several steps."""

from math import ceil
from typing import cast

import torch
from torch import Tensor

from recsys.core.config import TrainConfig
from recsys.graph.histories import HistoryBlocks
from recsys.graph.schema import ITEM, USER, Block, NodeType
from recsys.model.history_network import HistoryNetwork, history_blocks
from recsys.model.layer import States
from recsys.train.batches import Batch
from recsys.train.forecast import Plan
from recsys.train.problem import Problem
from recsys.train.ranks import ALONE, Ranks
from recsys.train.stepper import Stepper

_EDGE_COST = 8.0
"""An edge that a message passes costs as much as this many scores of a pair and a candidate."""
_SHARE = 0.5
"""Messages may cost this much of what the scores of the same steps cost."""


class HistoryStepper(Stepper):
    """Takes a `HistoryNetwork` through epochs.

    The messages between nodes cost the whole graph, whatever the size of a step. Where that is more
    than a step itself, what they make of the nodes is kept for `steps_a_pass` steps: these add up
    their gradients at the kept states, and the pass hands the sum on when it ends. What it makes of
    the nodes then is what the next pass keeps. A node's own row, the larger part of its state, moves
    in every step. After historical embeddings (Chen et al. 2018,
    VR-GCN; Fey et al. 2021, GNNAutoScale).
    """

    network: HistoryNetwork

    def __init__(
        self,
        network: HistoryNetwork,
        problem: Problem,
        config: TrainConfig,
        plan: Plan,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__(network, problem, config, plan, ranks)
        self.node_blocks = history_blocks(self.graph, network.config.layers)
        self.steps_a_pass = steps_a_pass(plan, config)
        self._pass: _Pass | None = None
        self._made: States | None = None

    @property
    def histories(self) -> HistoryBlocks:
        """What draws the histories of the steps' users."""
        return cast(HistoryBlocks, self.sampler)

    def _prepare(self, epoch: int) -> None:
        super()._prepare(epoch)
        self._pass = None
        self._made = None

    def _vectors(self, blocks: list[Block] | Block, batch: Batch) -> tuple[States, Tensor | None]:
        [block] = blocks if isinstance(blocks, list) else [blocks]
        if self._pass is None:
            self._pass = _Pass(self.network, self.node_blocks, self.steps_a_pass, self._made)
        states = self._pass.states(block)
        users = self.network.users(states, block, batch.hidden)
        items = self.network.finish({ITEM: states[ITEM]})[ITEM]
        return {USER: users, ITEM: items}, None

    def _after_gradients(self) -> None:
        assert self._pass is not None
        if self._pass.is_over:
            messages = self._pass.hand_on()
            self._pass = None
            # The parameters have not moved yet: the messages are one step old at most.
            self._made = messages if self.steps_a_pass > 1 else None


def steps_a_pass(plan: Plan, config: TrainConfig) -> int:
    """Steps that share one pass of messages: 1 where the graph is small beside a step."""
    scores = 3.0 * plan.pairs_a_step * max(config.negatives, 1)
    messages = 4.0 * _EDGE_COST * plan.edges_a_pass
    return max(1, ceil(messages / (_SHARE * scores)))


class _Pass:
    """States of the nodes for some steps: their own rows as they are, messages as they were.

    h = b_0 e + m, m being what messages add. Gradients at m gather until `hand_on`.
    """

    def __init__(
        self, network: HistoryNetwork, blocks: list[Block], num_steps: int, messages: States | None
    ) -> None:
        """messages: where they are known already."""
        self._network = network
        self._blocks = blocks
        self._num_steps = num_steps
        self._steps = 0
        if messages is None:
            # Steps in between change the parameters that gradients would go back through.
            with torch.set_grad_enabled(num_steps == 1):
                messages = network.messages_of_nodes(blocks)
        self._made = messages
        self._kept = {kind: state.detach().requires_grad_() for kind, state in self._made.items()}

    @property
    def is_over(self) -> bool:
        return self._steps == self._num_steps

    def states(self, block: Block) -> States:
        """States of the sources of a block, for one more step."""
        self._steps += 1
        messages: States = {}
        nodes: dict[NodeType, Tensor] = {}
        for kind, message in self._kept.items():
            if kind == USER or kind not in block.nodes:
                messages[kind] = message
            else:
                nodes[kind] = block.nodes[kind]
                messages[kind] = message.index_select(0, nodes[kind])
        return self._network.with_own(messages, nodes)

    def hand_on(self) -> States:
        """Add to the parameters' gradients what the steps' gradients at the kept states come to.

        Returns:
            The messages at the present parameters.
        """
        messages = self._made
        if self._num_steps > 1:
            messages = self._network.messages_of_nodes(self._blocks)
        roots, slopes = [], []
        for kind, message in messages.items():
            gradient = self._kept[kind].grad
            if gradient is not None and message.requires_grad:
                roots.append(message)
                # The mean over the steps: as large as the gradient of one.
                slopes.append(gradient / self._steps)
        if roots:
            torch.autograd.backward(roots, slopes)
        return {kind: message.detach() for kind, message in messages.items()}
