"""CTranslate2 with eight bits against torch in single precision: distributions, not only the likeliest token."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from inverse_design import reference
from inverse_design.errors import ModelError
from inverse_design.text2text.checkpoint import load_checkpoint, load_model
from inverse_design.text2text.ctranslate import TranslatorWriter
from inverse_design.text2text.sampling import Sampling
from tests.inverse_design.text2text.test_sampling import BUNDLED, pair, prompts, writer

pytest.importorskip("ctranslate2")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("tied", [True, False])
def test_the_first_token_has_torchs_distribution(tied: bool) -> None:
    """An untied network must not be scaled as a tied one: the argmax would not tell, samples would be nearly flat."""
    _, ours = pair(tied, buckets=64)
    converted = TranslatorWriter.of(ours)
    expected, found = (one.first(prompts()) for one in (writer(ours), converted))
    assert (found - expected).pow(2).mean().sqrt() < 0.2 * expected.std()
    assert found.std() == pytest.approx(float(expected.std()), rel=0.05)


def test_samples_of_the_bundled_model_follow_its_distribution() -> None:
    checkpoint = load_checkpoint(BUNDLED)
    eight_bits = TranslatorWriter.of(load_model(BUNDLED))
    asked = checkpoint.encode([",".join(map(str, row)) for row in reference.prior()[::20_000][:2].tolist()])
    how, owner = Sampling(temperature=2.0, top_p=1.0, max_new_tokens=2), [0] * 300 + [1] * 200
    texts = eight_bits.sample(asked, owner, range(500), how)
    assert texts == eight_bits.sample(asked, owner, range(500), how)  # a new translator starts from its seed
    assert texts != eight_bits.sample(asked, owner, range(1, 501), how)
    chances = (checkpoint.writer.first(asked) / 2).topk(100).values.softmax(-1)
    ids = checkpoint.writer.first(asked).topk(100).indices
    for prompt, count in ((0, 300), (1, 200)):
        counts = Counter(text[0] if text else 1 for row, text in zip(owner, texts, strict=True) if row == prompt)
        for token, chance in zip(ids[prompt].tolist(), chances[prompt].tolist(), strict=True):
            assert abs(counts[token] - count * chance) < 5 * (count * chance) ** 0.5 + 2


def test_greedy_texts_begin_as_torchs_do() -> None:
    checkpoint, greedy = load_checkpoint(BUNDLED), Sampling(top_k=1, max_new_tokens=6)
    asked = checkpoint.encode([",".join(map(str, row)) for row in reference.prior()[::1000].tolist()])
    everyone = range(len(asked))
    texts = TranslatorWriter.of(load_model(BUNDLED)).sample(asked, everyone, everyone, greedy)
    same = [a == b for a, b in zip(texts, checkpoint.writer.sample(asked, everyone, everyone, greedy), strict=True)]
    assert sum(same) >= 0.7 * len(same)


def test_it_is_converted_once(tmp_path: Path) -> None:
    _, ours = pair(True)
    folders = {TranslatorWriter.of(ours).folder for _ in range(2)}
    assert list((tmp_path / "inverse-design" / "ctranslate2").iterdir()) == [*folders]


def test_without_it_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ctranslate2.specs", None)
    with pytest.raises(ModelError, match=r"pip install \"inverse-design\[fast\]\""):
        load_checkpoint(BUNDLED, "ctranslate2")


def test_products_in_bf16_leave_the_distribution_nearly_as_it_is() -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor does not compute with bf16")
    exact, half = load_checkpoint(BUNDLED), load_checkpoint(BUNDLED, "torch-bf16")
    asked = exact.encode([",".join(map(str, row)) for row in reference.prior()[::500].tolist()])
    expected, found = (one.writer.first(asked).log_softmax(-1) for one in (exact, half))
    assert 0 < (expected.exp() * (expected - found)).sum(-1).mean() < 1e-3
    how = Sampling(max_new_tokens=80)
    together = half.writer.sample(asked, range(len(asked)), range(len(asked)), how)
    assert together[-1:] == half.writer.sample(asked[-1:], [0], [len(asked) - 1], how)
