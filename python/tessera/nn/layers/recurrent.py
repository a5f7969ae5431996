# Part of Tessera, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Recurrent layers and their cells.

The steps are written out, so each length of sequence is a program of its own. A packed sequence is
computed by PyTorch.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from tessera.nn.layers.composite import CompositeLayer


class _Recurrent(CompositeLayer):
    def _adopt(self, source: nn.Module) -> None:
        super()._adopt(source)
        #: the parameters in the order that the operator takes them
        names: Any = source._flat_weights_names
        self.flat_weights_names: tuple[str, ...] = tuple(names)

    def flatten_parameters(self) -> None:
        """Nothing: weights are laid out when a program is prepared."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters, in a list for each layer and direction."""
        directions = 2 if self.bidirectional else 1
        count = len(self.flat_weights_names) // (self.num_layers * directions)
        weights = [getattr(self, name) for name in self.flat_weights_names]
        return [weights[start : start + count] for start in range(0, len(weights), count)]


class RNN(_Recurrent):
    """Elman's network, with tanh or ReLU; gives (output, hidden)."""

    counterpart = nn.RNN


class LSTM(_Recurrent):
    """Long short-term memory; gives (output, (hidden, cell))."""

    counterpart = nn.LSTM


class GRU(_Recurrent):
    """Gated recurrent units; gives (output, hidden)."""

    counterpart = nn.GRU


class RNNCell(CompositeLayer):
    """One step of an RNN."""

    counterpart = nn.RNNCell


class LSTMCell(CompositeLayer):
    """One step of an LSTM; gives (hidden, cell)."""

    counterpart = nn.LSTMCell


class GRUCell(CompositeLayer):
    """One step of a GRU."""

    counterpart = nn.GRUCell
