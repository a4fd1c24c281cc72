"""Checkpoints in the layout in which PolyTAO and PolyNC are published: T5 pieces, added tokens, shapes; random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import T5Config, T5ForConditionalGeneration

TASKS = (
    "atomization energy", "band gap bulk", "band gap chain", "bandgap crystal", "crystallization tendency", "dielectric constant",
    "electron affinity", "ionization energy", "Tg", "refractive index", "heat resistance class",
)  # fmt: skip
INSTRUCTIONS = tuple(f"Predict the {task} of the following SMILES:" for task in TASKS)  # ids 32102 to 32112
ELEMENTS = tuple("Cl Br Se se Na Ge Si Te Fe Pb Sn Ca Ni Zn As Cd".split())  # noqa: SIM905
POLYNC = ("<s>", "[PAD]", *INSTRUCTIONS)
PRETRAINED = ("<s>", "[PAD]", *(f"<added_{number}>" for number in range(12)))  # what the other 12 are is not published
FINETUNED = (*PRETRAINED, *ELEMENTS)

# T5's own ids of the pieces in PolyNC's published example; the others stand for pieces whose ids are not known.
KNOWN = {
    "▁O": 411, "=": 2423, "c": 75, "1": 536, "n": 29, "(": 599, "C": 254, ")": 61, "O": 667, "2": 357, "3": 519, "-": 18,
    "4": 591, "5": 755, "5)": 9120, "4)": 7256, "21": 2658,
}  # fmt: skip
PIECES = (
    "▁", "*", "▁*", "▁C", "N", "▁N", "F", "S", "[", "]", "#", "+", "0", "6", "7", "8", "9", ".", ",", "15", "1,", "2,", "▁201",
    "▁-", "▁1", "l", "▁class", "▁85", "▁119", "85", "CC", "NC", "1)", "a", "s", "e",
)  # fmt: skip


def tokenizer(added: tuple[str, ...]) -> Tokenizer:
    """32,000 SentencePiece pieces, most of them fillers, 100 sentinels, then the tokens that the authors added."""
    pieces = ["<pad>", "</s>", "<unk>", *(f"\u4e00{number}" for number in range(3, 32_000))]
    for piece, place in KNOWN.items():
        pieces[place] = piece
    free = (place for place in range(20_000, 32_000) if place not in KNOWN.values())
    for piece, place in zip(PIECES, free, strict=False):
        pieces[place] = piece
    scores = [(piece, 0.0 if place < 3 else -8.0 - place / 1e4) for place, piece in enumerate(pieces)]
    scores += [(f"<extra_id_{number}>", 0.0) for number in range(99, -1, -1)]
    made = Tokenizer(models.Unigram(scores, unk_id=2))
    made.normalizer = normalizers.NFKC()
    space = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space])
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    sentinels = [f"<extra_id_{number}>" for number in range(99, -1, -1)]
    made.add_special_tokens([AddedToken(text, normalized=False) for text in ("<pad>", "</s>", "<unk>", *sentinels)])
    made.add_tokens(
        [AddedToken(text, normalized=text not in ("<s>", "[PAD]"), special=text in ("<s>", "[PAD]")) for text in added]
    )
    return made


def checkpoint(folder: Path, added: tuple[str, ...], **shape: int) -> Path:
    """Write a folder as `save_pretrained` of the authors' libraries does; small unless `shape` says otherwise."""
    made = tokenizer(added)
    made.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "T5Tokenizer",
        "extra_ids": 100,
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4} | shape
    config = T5Config(
        vocab_size=made.get_vocab_size(), decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, dropout_rate=0.1, **sizes
    )
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        # As drawn, tied embeddings make a T5 repeat its last token; an answer should depend on the question.
        model.shared.weight.mul_(0.05)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "shared" not in name:
                parameter.mul_(3.0)
    model.save_pretrained(folder)
    return folder
