"""The published PolyTAO: both vocabularies and the three forms of a prompt, against the authors' way of asking it.

What is compared with is plain transformers code, one prompt at a time, as in the authors' repository.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from generators.polytao import PolyTAO
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.sieve import clean
from inverse_design.text2text.checkpoint import load_model
from inverse_design.text2text.inference import padded
from inverse_design.text2text.sampling import Sampling
from tests.published import FINETUNED, PRETRAINED, checkpoint

PROMPTS = [
    "201,15,1,1,1,1,2,0,0,0,1,1,3,3,2",  # pretrained
    "392,27,0,11,0,2,2,0,0,0,11,0,13,13,2",
    "-6.19,236,14,0,1,0,0,0,0,2,2,4,0,6,3,2",  # fine-tuned, semi-template
    "6.500",  # fine-tuned, template-free
]


@pytest.fixture(scope="module", params=[PRETRAINED, FINETUNED], ids=["32114", "32130"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return checkpoint(tmp_path_factory.mktemp("polytao"), request.param, d_model=48)


def test_token_ids_and_greedy_texts_are_the_authors(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="[PAD]", padding_side="right")
    theirs = T5ForConditionalGeneration.from_pretrained(folder).eval()
    ours = PolyTAO.load(folder, Sampling(top_k=1, max_new_tokens=39))
    assert ours.drafts == 1
    assert ours.checkpoint.config.vocab_size == len(tokenizer) in (32114, 32130)
    texts = []
    for prompt, ids in zip(PROMPTS, ours.checkpoint.encode(PROMPTS), strict=True):
        encoded = tokenizer(prompt, return_tensors="pt")
        assert encoded.input_ids[0].tolist() == ids
        output = theirs.generate(input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, max_length=40)
        texts.append(clean(tokenizer.decode(output[0], skip_special_tokens=True)))
    assert len(set(texts)) == len(texts)
    assert ours.generate(PROMPTS, [[0]] * len(PROMPTS)) == [[text] for text in texts]


def test_the_number_of_decimals_matters(folder: Path) -> None:
    encode = PolyTAO.load(folder).checkpoint.encode
    assert encode(["6.50"]) != encode(["6.500"])


def test_a_padded_batch_is_the_authors_batch(folder: Path) -> None:
    """The tokenizer pads with `[PAD]` and the config with 0: behind the mask it makes no difference."""
    tokenizer = AutoTokenizer.from_pretrained(folder, pad_token="[PAD]", padding_side="right")
    assert (tokenizer.pad_token_id, T5ForConditionalGeneration.from_pretrained(folder).config.pad_token_id) == (32101, 0)
    batch = tokenizer(PROMPTS, padding=True, return_tensors="pt")
    ours, greedy = PolyTAO.load(folder).checkpoint, Sampling(top_k=1, max_new_tokens=20)
    source, mask = padded(ours.encode(PROMPTS), ours.config.pad_token_id)
    assert torch.equal(mask, batch.attention_mask.bool())
    assert torch.equal(source[mask], batch.input_ids[mask])
    everyone = list(range(len(PROMPTS)))
    for prompt, ids in zip(PROMPTS, ours.writer.sample(ours.encode(PROMPTS), everyone, everyone, greedy), strict=True):
        assert ours.writer.sample(ours.encode([prompt]), [0], [0], greedy) == [ids]


def test_a_token_is_drawn_with_the_authors_chances(folder: Path) -> None:
    """Temperature, then the 100 likeliest, then those that hold .999, as their settings mean in transformers."""
    ours = PolyTAO.load(folder, Sampling(max_new_tokens=1))
    ids = torch.tensor(ours.checkpoint.encode(PROMPTS[:1]))
    with torch.inference_mode():
        scores = load_model(folder)(ids, torch.zeros((1, 1), dtype=torch.long))[:, 0]
        for warper in (TemperatureLogitsWarper(1.0), TopKLogitsWarper(100), TopPLogitsWarper(0.999)):
            scores = warper(ids, scores)
    wanted = scores[0].softmax(-1)
    count = 400
    drawn = ours.checkpoint.writer.sample(ids.tolist(), [0] * count, list(range(count)), ours.sampling)
    found = torch.bincount(torch.tensor([one[0] if one else 1 for one in drawn]), minlength=len(wanted)) / count
    assert set(found.nonzero()[:, 0].tolist()) <= set(wanted.nonzero()[:, 0].tolist())
    spread = (wanted * (1 - wanted) / count).sqrt()
    assert ((found - wanted).abs() <= 5 * spread + 1e-9).all()
    assert wanted.max() < 0.5


def test_what_the_authors_take_for_the_length_is_ours() -> None:
    assert Sampling().max_new_tokens == 300 - 1  # max_length counts the start token


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("<pad> *NC1CCC(C=C2CCCCCC(*)CC2)C1<pad><pad>", "*NC1CCC(C=C2CCCCCC(*)CC2)C1"),
        ("<pad><s> [*]CC([*])c1ccccc1</s><pad>", "[*]CC([*])c1ccccc1"),
        ("*CC(*)<unk>C<extra_id_7>[PAD]", "*CC(*)C"),
    ],
)
def test_leaks_are_cleaned_and_both_stars_read(raw: str, meant: str) -> None:
    assert clean(raw) == meant
    unit = parse(clean(raw))
    assert isinstance(unit, RepeatUnit)
    assert "[*]" not in unit.psmiles
