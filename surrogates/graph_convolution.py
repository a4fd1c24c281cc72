"""The graph convolution of polyScreen in plain torch: one pair of matrices per degree, as DeepChem's GraphConvModel.

J. Mater. Chem. C 2023, doi 10.1039/D2TC05174E, after Duvenaud et al. 2015. Parameters have DeepChem's shapes and
order, so that a converted checkpoint loads as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from surrogates.graph import DEGREES, FEATURES, Batch

MATRICES = 2 * (DEGREES - 1) + 1
BATCH_NORM_AT_REST = 1 / 1.001**0.5
"""What DeepChem's untrained batch normalisation multiplies by: the authors predict with it, though they train without."""


class GraphConvolution(nn.Module):
    """ReLU(sum of neighbours x W[2(d-1)] + own x W[2(d-1)+1] + both biases) for degree d; own x W[20] + b for d = 0."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(MATRICES, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(MATRICES, outputs))
        for matrix in self.weight:
            nn.init.xavier_uniform_(matrix)

    def forward(self, atoms: Tensor, neighbours: Sequence[Tensor]) -> Tensor:
        """Return (u, outputs) for atoms (u, inputs) sorted by degree; neighbours[d] is (u_d, d)."""
        own = torch.split(atoms, [len(table) for table in neighbours])
        # One product a degree: [sum of neighbours | own] x [W[2(d-1)]; W[2(d-1)+1]].
        weights = self.weight[:-1].view(DEGREES - 1, -1, self.weight.shape[2]).unbind()
        biases = self.bias[:-1].view(DEGREES - 1, 2, -1).sum(dim=1).unbind()
        parts = [torch.addmm(self.bias[-1], own[0], self.weight[-1])]
        for self_, table, weight, bias in zip(own[1:], neighbours[1:], weights, biases, strict=True):
            if len(table):
                around = reduce(torch.add, _near(atoms, table))
                both = torch.cat([around, self_], dim=1)
                parts.append(torch.addmm(bias, both, weight))
        return torch.cat(parts).relu()


class PolyScreenNetwork(nn.Module):
    """Two graph convolutions, each with a max over the neighbourhood; a dense layer; tanh of sum and max over atoms.

    factor: what each of the three hidden activations is multiplied by at inference (`BATCH_NORM_AT_REST` for a
    checkpoint of the authors, 1 for our own); outputs: values a molecule.
    """

    def __init__(self, *, width: int = 64, dense: int = 128, dropout: float = 0.0, factor: float = 1.0, outputs: int = 1) -> None:
        super().__init__()
        self.first = GraphConvolution(FEATURES, width)
        self.second = GraphConvolution(width, width)
        self.dense = nn.Linear(width, dense)
        self.out = nn.Linear(2 * dense, outputs)
        self.dropout, self.factor = dropout, factor
        for layer in (self.dense, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def matrices(self) -> list[Tensor]:
        """The matrices between hidden layers, each (..., inputs, outputs) or its transpose."""
        return [self.first.weight, self.second.weight, self.dense.weight]

    def forward(self, batch: Batch) -> Tensor:
        """Return one value a molecule, shape (size,), or several, (size, outputs)."""
        neighbours = [torch.from_numpy(table) for table in batch.neighbours]
        atoms = torch.from_numpy(batch.features)
        for convolution in (self.first, self.second):
            atoms = _pool(self._rest(convolution(atoms, neighbours)), neighbours)
        atoms = self._rest(self.dense(atoms).relu())
        rows = atoms.index_select(0, torch.from_numpy(batch.atoms))
        lengths = torch.from_numpy(batch.lengths)
        total = torch.segment_reduce(rows * torch.from_numpy(batch.counts)[:, None], "sum", lengths=lengths)
        highest: Tensor = _MaximumOverAtoms.apply(rows, lengths)  # type: ignore[no-untyped-call]
        molecules = dropout(torch.cat([total, highest], dim=1).tanh(), self.dropout, self.training)
        # In double precision, so that what else is in a batch leaves no trace in how the long sum is rounded.
        output: Tensor = linear(molecules.double(), self.out.weight.double(), self.out.bias.double())
        return (output[:, 0] if output.shape[1] == 1 else output).float()

    def _rest(self, atoms: Tensor) -> Tensor:
        return atoms if self.training or self.factor == 1 else atoms * self.factor


class _MaximumOverAtoms(torch.autograd.Function):
    """The maximum over the atoms of each molecule, (u, w) -> (n, w), atoms that have it sharing the gradient alike.

    `torch.segment_reduce` gives all of a gradient below zero to each of them.
    """

    @staticmethod
    def forward(ctx: Any, atoms: Tensor, lengths: Tensor) -> Tensor:
        highest = torch.segment_reduce(atoms, "max", lengths=lengths)
        ctx.save_for_backward(atoms, lengths, highest)
        return highest

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        atoms, lengths, highest = ctx.saved_tensors
        have = (atoms == highest.repeat_interleave(lengths, dim=0)).float()
        shares = grads[0] / torch.segment_reduce(have, "sum", lengths=lengths)
        return have * shares.repeat_interleave(lengths, dim=0), None


def _pool(atoms: Tensor, neighbours: Sequence[Tensor]) -> Tensor:
    """Return the maximum over each atom and its neighbours; (u, w) -> (u, w)."""
    if atoms.requires_grad:
        return atoms.gather(0, _nearby_maximum(atoms.detach(), neighbours))
    own = torch.split(atoms, [len(table) for table in neighbours])
    # One neighbour after the other: a reduction over a short middle dimension takes several times as long.
    return torch.cat([reduce(torch.maximum, [self_, *_near(atoms, table)]) for self_, table in zip(own, neighbours, strict=True)])


def _nearby_maximum(atoms: Tensor, neighbours: Sequence[Tensor]) -> Tensor:
    """Return which of an atom and its neighbours has the maximum, (u, w) -> (u, w): a gradient then takes one step back, not one a
    neighbour."""
    places, done = [], 0
    for own, table in zip(torch.split(atoms, [len(table) for table in neighbours]), neighbours, strict=True):
        highest, place = own, torch.arange(done, done + len(table))[:, None].expand_as(own)
        for column, near in zip(table.T, _near(atoms, table), strict=True):
            higher = near > highest
            highest, place = torch.where(higher, near, highest), torch.where(higher, column[:, None], place)
        places.append(place)
        done += len(table)
    return torch.cat(places)


def _near(atoms: Tensor, table: Tensor) -> list[Tensor]:
    """Return what the first neighbours hold, the second ones, and so on; (u, w) and (n, d) -> d times (n, w)."""
    return [atoms.index_select(0, column) for column in table.T]
