"""The plain-torch T5 against transformers, and samples that depend on their own seed alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5Config as TheirConfig
from transformers import T5ForConditionalGeneration

from inverse_design import reference
from inverse_design.errors import ModelError
from inverse_design.text2text import inference
from inverse_design.text2text.checkpoint import load_checkpoint
from inverse_design.text2text.inference import Decoding, Frozen
from inverse_design.text2text.sampling import Sampling, TorchWriter
from inverse_design.text2text.t5 import T5, T5Config

BUNDLED = Path(__file__).parents[3] / "generators" / "weights" / "polytao"


def pair(tied: bool, buckets: int = 32, depth: int = 2) -> tuple[T5ForConditionalGeneration, T5]:
    torch.manual_seed(0)
    config = TheirConfig(
        vocab_size=300, d_model=64, d_kv=16, d_ff=128, num_layers=depth, num_decoder_layers=depth, num_heads=4,
        decoder_start_token_id=0, dropout_rate=0.0, tie_word_embeddings=tied, relative_attention_num_buckets=buckets,
    )  # fmt: skip
    theirs = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(1 + torch.rand_like(parameter))
    ours = T5(T5Config.from_dict(config.to_dict() | {"tie_word_embeddings": tied}))
    tensors = theirs.state_dict()
    ours.load_state_dict({name: tensors[name] for name in ours.state_dict()})
    return theirs, ours.eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.randint(3, 300, (4, 150), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(4, 150, dtype=torch.bool)
    mask[1, 130:], mask[2, 10:], mask[3, 1:] = False, False, False
    return source, mask


def prompts() -> list[list[int]]:
    source, mask = batch()
    return [row[keep].tolist() for row, keep in zip(source, mask, strict=True)]


def writer(model: T5, dtype: torch.dtype = torch.float32) -> TorchWriter:
    return TorchWriter(network=Frozen(model, dtype))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("buckets", [32, 64])
def test_logits_are_those_of_transformers(tied: bool, buckets: int) -> None:
    theirs, ours = pair(tied, buckets)
    source, mask = batch()
    target = torch.randint(0, 300, (4, 140), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = theirs(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
        assert (ours(source, target, mask) - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize("tied", [True, False])
def test_step_by_step_the_logits_are_those_of_the_whole_text(tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unequal numbers of rows a prompt, rows and a prompt that leave, and a cache that grows."""
    monkeypatch.setattr(inference, "CHUNK", 100)
    _, ours = pair(tied, buckets=64)
    source, mask = batch()
    owner = torch.tensor([0, 0, 1, 2, 2, 2, 3])
    target = torch.randint(0, 300, (7, 40), generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = ours(source[owner], target, mask[owner])
        writing, rows = Decoding(Frozen(ours), prompts(), owner.tolist(), 40), torch.arange(7)
        for position in range(40):
            for step, left in ((20, [1, 2, 3, 6]), (30, [1, 2, 3])):
                if position == step:
                    writing.keep(left)
                    rows = rows[left]
            found = writing.step(target[rows, position])
            assert (found - expected[rows, position]).abs().max() < 1e-3 * expected.abs().max()


def test_greedy_text_is_that_of_transformers() -> None:
    theirs, ours = pair(True)
    source, mask = batch()
    with torch.inference_mode():
        expected = theirs.generate(input_ids=source, attention_mask=mask.long(), max_new_tokens=40, do_sample=False)
    texts = writer(ours).sample(prompts(), [0, 1, 2, 3], [0] * 4, Sampling(top_k=1, max_new_tokens=40))
    for row, text in zip(expected.tolist(), texts, strict=True):
        assert row[1 : 1 + len(text)] == text


def test_a_sample_depends_on_its_seed_and_not_on_its_batch() -> None:
    """The bundled model, whose texts end: rows leave the batch all the time."""
    model = load_checkpoint(BUNDLED)
    vectors = reference.prior()
    asked = model.encode([",".join(map(str, row)) for row in vectors[:: len(vectors) // 40][:40].tolist()])
    owner, seeds, how = sorted([*range(40)] * 5), list(range(200)), Sampling(max_new_tokens=80)
    together = model.writer.sample(asked, owner, seeds, how)
    assert len({len(text) for text in together}) > 20
    alone = [model.writer.sample([asked[owner[row]]], [0], [row], how)[0] for row in range(0, 200, 9)]
    assert alone == together[::9]
    for rows in (range(0, 200, 3), range(100, 107)):
        mine = sorted({owner[row] for row in rows})
        places = [mine.index(owner[row]) for row in rows]
        assert model.writer.sample([asked[i] for i in mine], places, [*rows], how) == [together[row] for row in rows]


def test_what_does_not_fit_in_memory_is_halved_and_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ours = pair(True)
    owner, seeds, how = [0, 0, 1, 1, 1, 2, 3], list(range(7)), Sampling(max_new_tokens=12)
    expected, room = writer(ours).sample(prompts(), owner, seeds, how), 2
    step = Decoding.step

    def cramped(self: Decoding, token: torch.Tensor) -> torch.Tensor:
        if len(token) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(self, token)

    monkeypatch.setattr(Decoding, "step", cramped)
    assert writer(ours).sample(prompts(), owner, seeds, how) == expected
    room = 0
    with pytest.raises(ModelError, match="no room for a single text"):
        writer(ours).sample(prompts(), owner, seeds, how)


def test_samples_follow_the_models_distribution() -> None:
    _, ours = pair(True)
    source, mask = batch()
    with torch.inference_mode():
        first = (ours(source[:1], torch.zeros(1, 1, dtype=torch.long), mask[:1])[0, 0] / 20).double().softmax(-1).numpy()
    how = Sampling(temperature=20.0, top_k=300, top_p=1.0, max_new_tokens=1)
    drawn = writer(ours).sample(prompts()[:1], [0] * 4000, list(range(4000)), how)
    counts = np.bincount([text[0] if text else 1 for text in drawn], minlength=300)
    expected = 4000 * first
    busy = expected > 8
    chi_square = ((counts[busy] - expected[busy]) ** 2 / expected[busy]).sum()
    assert chi_square < busy.sum() + 5 * np.sqrt(2 * busy.sum())


def test_top_k_and_top_p_leave_the_tail_out() -> None:
    _, ours = pair(True)
    source, mask = batch()
    with torch.inference_mode():
        logits = ours(source[:1], torch.zeros(1, 1, dtype=torch.long), mask[:1])[0, 0] / 20
    best = set(logits.topk(3).indices.tolist())
    few = writer(ours).sample(
        prompts()[:1], [0] * 300, list(range(300)), Sampling(temperature=20.0, top_k=3, top_p=1.0, max_new_tokens=1)
    )
    assert {text[0] if text else 1 for text in few} == best
    nucleus = float(logits.softmax(-1).max()) * 0.99
    one = writer(ours).sample(
        prompts()[:1],
        [0] * 50,
        list(range(50)),
        Sampling(temperature=20.0, top_k=300, top_p=nucleus, max_new_tokens=1),
    )
    assert {text[0] if text else 1 for text in one} == {int(logits.argmax())}
