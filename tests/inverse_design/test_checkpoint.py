"""A checkpoint written by transformers answers the same through our network; a broken one says what is wrong."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from inverse_design.errors import ModelError
from inverse_design.text2text.checkpoint import load_checkpoint, load_model
from inverse_design.text2text.sampling import Sampling

WORDS = ["<pad>", "</s>", "<unk>", "a", "b", "c", "d"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 and tokenizer in the published layout."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("t5")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=16, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_decoder_layers=2, num_heads=2, decoder_start_token_id=0
    )
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def copy(source: Path, target: Path) -> Path:
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_logits_and_greedy_text_agree_with_transformers(published: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(published).eval()
    ours = load_checkpoint(published)
    ids = ours.encode(["a b c d", "d c"])
    assert ids == [[3, 4, 5, 6, 1], [6, 5, 1]]
    source = torch.tensor([ids[0], ids[1] + [0, 0]])
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    target = torch.tensor([[0, 7, 8], [0, 9, 3]])
    expected = theirs(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
    assert torch.allclose(load_model(published)(source, target, mask), expected, atol=1e-5)
    assert torch.allclose(ours.writer.first(ids), expected[:, 0], atol=1e-5)
    greedy = ours.writer.sample(ids, [0, 1], [0, 0], Sampling(top_k=1, max_new_tokens=7))
    generated = theirs.generate(input_ids=source, attention_mask=mask.long(), do_sample=False, max_length=8, pad_token_id=0)
    for row, answer in zip(generated.tolist(), greedy, strict=True):
        assert (row[1 : 1 + len(answer)]) == answer


def test_decode_keeps_special_tokens(published: Path) -> None:
    assert load_checkpoint(published).decode([3, 4]).replace(" ", "") == "ab"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file_is_named(published: Path, tmp_path: Path, name: str) -> None:
    copy(published, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: no such file"):
        load_checkpoint(tmp_path)


def test_missing_tokenizer_is_named(published: Path, tmp_path: Path) -> None:
    copy(published, tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"neither tokenizer\.json nor spiece.model"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "not the config of a T5"),
        ("model.safetensors", "not a safetensors file"),
        ("tokenizer.json", "not a tokenizer"),
    ],
)
def test_corrupt_file_is_named(published: Path, tmp_path: Path, name: str, said: str) -> None:
    copy(published, tmp_path)
    (tmp_path / name).write_bytes(b"\x80\x04junk")
    with pytest.raises(ModelError, match=said):
        load_checkpoint(tmp_path)


def test_pickled_weights_are_refused_with_the_way_out(published: Path, tmp_path: Path) -> None:
    copy(published, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="inverse-design models convert t5"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_layers": 3}, "missing, foreign"),
        ({"d_ff": 64}, "another shape"),
        ({"feed_forward_proj": "gated-gelu"}, "wanted 'relu'"),
        ({"vocab_size": 5}, "tokenizer has 7 tokens"),
    ],
)
def test_config_of_another_network_is_refused(published: Path, tmp_path: Path, change: dict[str, object], said: str) -> None:
    copy(published, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=said):
        load_checkpoint(tmp_path)
