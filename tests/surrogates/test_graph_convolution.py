"""The network against the authors' equations, atom by atom, and its invariances."""

import numpy as np
import pytest
import torch
from rdkit import Chem

from inverse_design.polymer import RepeatUnit, parse
from surrogates.graph import batch, graph
from surrogates.graph_convolution import BATCH_NORM_AT_REST, GraphConvolution, PolyScreenNetwork
from tests.surrogates.test_graph import KAPTON, UNITS, as_deepchem


def molecule(text: str) -> Chem.Mol:
    unit = parse(text)
    assert isinstance(unit, RepeatUnit)
    return unit.mol


def network(factor: float = 1.0) -> PolyScreenNetwork:
    torch.manual_seed(3)
    made = PolyScreenNetwork(width=8, dense=12, factor=factor)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def convolve(mol: Chem.Mol, atoms: list[torch.Tensor], layer: GraphConvolution) -> list[torch.Tensor]:
    weight, bias = layer.weight, layer.bias
    out = []
    for atom in mol.GetAtoms():
        near = [atoms[other.GetIdx()] for other in atom.GetNeighbors()]
        d, own = len(near), atoms[atom.GetIdx()]
        value = own @ weight[20] + bias[20]
        if d:
            value = sum(near) @ weight[2 * (d - 1)] + bias[2 * (d - 1)] + own @ weight[2 * (d - 1) + 1] + bias[2 * (d - 1) + 1]
        out.append(value.clamp(min=0))
    return out


def pool(mol: Chem.Mol, atoms: list[torch.Tensor]) -> list[torch.Tensor]:
    around = [[atom.GetIdx(), *(other.GetIdx() for other in atom.GetNeighbors())] for atom in mol.GetAtoms()]
    return [torch.stack([atoms[i] for i in group]).amax(0) for group in around]


def literally(mol: Chem.Mol, net: PolyScreenNetwork, factor: float) -> torch.Tensor:
    """The published equations, one atom at a time."""
    atoms = [torch.tensor(as_deepchem(atom), dtype=torch.float32) for atom in mol.GetAtoms()]
    for layer in (net.first, net.second):
        atoms = pool(mol, [factor * value for value in convolve(mol, atoms, layer)])
    hidden = torch.stack([factor * net.dense(value).clamp(min=0) for value in atoms])
    return net.out(torch.tanh(torch.cat([hidden.sum(0), hidden.amax(0)])))[0]


@pytest.mark.parametrize("factor", [1.0, BATCH_NORM_AT_REST, 0.5])
def test_the_network_is_the_published_one(factor: float) -> None:
    mols = [molecule(text) for text in UNITS]
    net = network(factor)
    with torch.inference_mode():
        found = net(batch([one for mol in mols if (one := graph(mol)) is not None]))
        expected = [float(literally(mol, net, factor)) for mol in mols]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_gradient_is_that_of_the_published_equations() -> None:
    mols = [molecule(text) for text in UNITS]
    net = network()
    net(batch([one for mol in mols if (one := graph(mol)) is not None])).sum().backward()
    found = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]
    net.zero_grad()
    torch.stack([literally(mol, net, 1.0) for mol in mols]).sum().backward()
    expected = [parameter.grad for parameter in net.parameters()]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_a_lone_atom_uses_the_last_matrix() -> None:
    mol = Chem.MolFromSmiles("C")
    found = graph(mol)
    assert found is not None
    net = network()
    with torch.inference_mode():
        assert float(net(batch([found]))) == pytest.approx(float(literally(mol, net, 1.0)), rel=1e-4)


def test_shapes_are_those_of_deepchem() -> None:
    shapes = {name: tuple(value.shape) for name, value in PolyScreenNetwork().state_dict().items()}
    assert shapes == {
        "first.weight": (21, 75, 64),
        "first.bias": (21, 64),
        "second.weight": (21, 64, 64),
        "second.bias": (21, 64),
        "dense.weight": (128, 64),
        "dense.bias": (128,),
        "out.weight": (1, 256),
        "out.bias": (1,),
    }


def test_an_answer_depends_on_its_own_molecule_alone() -> None:
    graphs = [one for text in UNITS if (one := graph(molecule(text))) is not None]
    net = network()
    with torch.inference_mode():
        together = net(batch(graphs))
        alone = torch.cat([net(batch([one])) for one in graphs])
        backwards = net(batch(graphs[::-1])).flip(0)
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, backwards)


def test_the_order_of_atoms_does_not_matter() -> None:
    mol = molecule(KAPTON)
    shuffled = Chem.RenumberAtoms(mol, np.random.default_rng(1).permutation(mol.GetNumAtoms()).tolist())
    graphs = [one for each in (mol, shuffled) if (one := graph(each)) is not None]
    with torch.inference_mode():
        first, second = network()(batch(graphs))
    assert float(first) == pytest.approx(float(second), abs=1e-5)


def test_training_reaches_every_matrix_in_use() -> None:
    net = network().train()
    net(batch([one for text in UNITS if (one := graph(molecule(text))) is not None])).sum().backward()
    gradient = net.second.weight.grad
    assert gradient is not None
    used = gradient.abs().sum((1, 2)) > 0
    assert used.tolist() == [True] * 8 + [False] * 13  # degrees 1 to 4
