"""Repeat units read piece by piece, and samples that a guide keeps to them."""

import random
import re

import pytest
import torch

from inverse_design.text2text.sampling import Sampling, sample
from inverse_design.text2text.syntax import SmilesGuide, State, advance, complete
from inverse_design.text2text.t5 import T5, T5Config
from inverse_design.text2text.training import new_model
from inverse_design.text2text.vocabulary import polytao_tokenizer

POLYMERS = [
    "*CC*",
    "*CC(*)c1ccccc1",
    "*CC(*)(C)C(=O)OC",
    "*C(F)(F)C(*)(F)F",
    "*CC(*)Cl",
    "*CC(*)C#N",
    "*C(Cl)C*",
    "*C=C*",
    "*=CC=*",
    "*O[Si](*)(C)C",
    "*N=P(*)(Cl)Cl",
    "*c1cc[nH]c1*",
    "*c1ccc(*)s1",
    "*OCCOC(=O)c1ccc(C(*)=O)cc1",
    "*NCCCCCC(*)=O",
    "*Oc1ccc(C(C)(C)c2ccc(OC(*)=O)cc2)cc1",
    "*c1ccc(S(=O)(=O)c2ccc(O*)cc2)cc1",
    "*c1ccc(Oc2ccc(N3C(=O)c4cc5c(cc4C3=O)C(=O)N(*)C5=O)cc2)cc1",
    "*C%12CCCCC%12*",
    "*Nc1ccc([N+](=O)[O-])c(*)c1",
    "*CC[N+](C)(C)CC*",
    "*C1C2CCC(C2)C1*",
    "*CC(*)[n+]1ccccc1",
    "*c1ccc2c(c1)-c1cc(*)ccc1C2(CC)CC",
]
TOKENIZER = polytao_tokenizer(POLYMERS * 5, pairs=200)
PIECES = [TOKENIZER.decode([token], skip_special_tokens=False) for token in range(TOKENIZER.get_vocab_size())]


def read(text: str) -> State | None:
    return advance(State(), text)


def state_of(text: str) -> State:
    state = read(text)
    assert state is not None
    return state


@pytest.mark.parametrize("smiles", POLYMERS)
def test_polymers_pass_in_any_pieces_and_are_complete_at_their_end_only(smiles: str) -> None:
    rng = random.Random(smiles)
    symbols = re.findall("Cl|Br|.", smiles)
    for _ in range(5):
        state: State | None = State()
        rest = symbols
        while rest:
            size = rng.randint(1, 6)
            piece, rest = "".join(rest[:size]), rest[size:]
            assert state is not None
            state = advance(state, piece)
            assert state is not None
            # A unit with its second star inside the chain may be whole before its end, but never without two stars.
            assert not complete(state) or smiles.removesuffix("".join(rest)).count("*") == 2
        assert complete(state)


@pytest.mark.parametrize(
    ("before", "piece"),
    [
        ("", "(C"), ("", ")"), ("", "1"), ("", "=C"), ("*C", "()"), ("*C", "(("), ("*C", ")"), ("*C(C", "=)"), ("*C=", "="),
        ("*C=", "(C"), ("*C1", "C1"), ("*C", "11"), ("*C(C)", "1"), ("*C(C1CC", ")"), ("*CC", "**"), ("*C(*)C", "*"), ("*", "*"),
        ("*C1CCC", "*"), ("*C(F", "C"), ("*C(=O", "("), ("*CC(C)(C)", "(C)C"), ("*c1ccc(C)", "(C)"), ("*C#C", "=C"), ("*C", "."),
        ("*C", "<unk>"), ("*C", "ⓑ3"), ("*[", "CC"), ("*[N", "]]"), ("*C", "[Xx]"), ("*C%1", "C"), ("C", "*"), ("*C", ""),
    ],
)  # fmt: skip
def test_a_piece_that_leaves_no_way_to_a_repeat_unit_is_refused(before: str, piece: str) -> None:
    state = read(before) if before else State()
    assert state is not None
    assert advance(state, piece) is None


@pytest.mark.parametrize("text", ["*CC", "*CC(*", "*C1CC(*)C", "*C(*)C=", "*C(*)C[N", "*C(*)C%1"])
def test_an_unfinished_unit_is_not_complete(text: str) -> None:
    state = read(text)
    assert state is not None
    assert not complete(state)


def model() -> T5:
    config = T5Config(
        vocab_size=len(PIECES), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2
    )  # fmt: skip
    return new_model(config, 0).eval()


def test_guided_samples_are_complete_or_end_at_a_limit_and_do_not_depend_on_their_batch() -> None:
    network, guide, how = model(), SmilesGuide(PIECES, 1), Sampling(top_k=len(PIECES), top_p=1.0, max_new_tokens=60)
    source, mask = torch.tensor([[5, 6, 1], [7, 1, 0]]), torch.tensor([[True, True, True], [True, True, False]])
    owner, seeds = [0] * 20 + [1] * 20, list(range(40))
    texts = sample(network, source, mask, owner, seeds, how, guide)
    guide_ends = [SmilesGuide(PIECES, 1).follow(State(), 1), guide.follow(state_of("*CC*"), 1)]
    assert guide_ends == [None, state_of("*CC*")]
    for ids in texts:
        state: State | None = State()
        for token in ids:
            assert state is not None
            state = guide.follow(state, token)
        assert state is not None  # no refused token was drawn
    assert sample(network, source[:1], mask[:1], [0], [3], how, guide) == [texts[3]]
    assert sample(network, source, mask, owner, seeds, how) != texts


def test_a_guide_that_refuses_nothing_changes_nothing() -> None:
    class Willing:
        start = 0

        def follow(self, state: int, token: int) -> int:
            return state + 1

    network, how = model(), Sampling(max_new_tokens=20)
    source, mask = torch.tensor([[5, 6, 1]]), torch.ones(1, 3, dtype=torch.bool)
    plain = sample(network, source, mask, [0] * 10, list(range(10)), how)
    assert sample(network, source, mask, [0] * 10, list(range(10)), how, Willing()) == plain
