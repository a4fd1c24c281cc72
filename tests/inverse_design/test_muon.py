"""Muon against the singular value decomposition."""

import pytest
import torch

from inverse_design.muon import Muon, orthogonal


def test_orthogonal_flattens_the_singular_values() -> None:
    x = torch.randn(3, 40, 100, generator=torch.Generator().manual_seed(0))
    for matrix in (x, x.mT):
        values = torch.linalg.svdvals(orthogonal(matrix))
        assert values.min() > 0.5
        assert values.max() < 1.3


@pytest.mark.parametrize("shape", [(3, 8, 6), (6, 8), (8, 6)])
def test_a_first_step_goes_as_far_in_every_direction_as_the_gradient_has(shape: tuple[int, ...]) -> None:
    parameter = torch.nn.Parameter(torch.zeros(shape))
    parameter.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    Muon([{"params": [parameter]}], lr=0.1).step()
    far = 0.1 * max(1.0, shape[-2] / shape[-1]) ** 0.5
    found = torch.linalg.svdvals(parameter.detach())
    assert float(found.min()) > 0.5 * far
    assert float(found.max()) < 1.3 * far
    assert float((parameter.detach() * parameter.grad).sum()) < 0


def test_what_has_no_gradient_in_a_stack_stays() -> None:
    parameter = torch.nn.Parameter(torch.ones(2, 4, 4))
    parameter.grad = torch.stack([torch.zeros(4, 4), torch.eye(4)])
    Muon([{"params": [parameter]}], lr=0.1).step()
    assert torch.equal(parameter[0].detach(), torch.ones(4, 4))
    assert not torch.equal(parameter[1].detach(), torch.ones(4, 4))
