"""Tokenizers of the bundled models: numbers by slot, SMILES in pairs learned on a corpus; one `tokenizer.json` each.

A prompt is plain text as published (`201,15,1,...`). The normaliser turns the comma before each of the last 14
numbers into that slot's own letter, so that `HeavyAtomCount 15` is one token whatever precedes it. In SMILES,
two-letter elements and common bracket atoms are single symbols and `*` never merges with anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<pad>", "</s>", "<unk>"]
SLOTS = "ⓑⓒⓓⓔⓕⓖⓗⓘⓙⓚⓛⓜⓝⓞ"
ALPHABET = "0123456789.,-ABCDEFGHIKLMNOPRSTUVWXYZabcdefghiklmnoprstuy*()[]=#+/\\@%$:"
ATOMS = {
    atom: chr(0xE000 + i)
    for i, atom in enumerate(
        [
            "Cl",
            "Br",
            "[nH]",
            "[Si]",
            "[N+]",
            "[O-]",
            "[n+]",
            "[NH+]",
            "[SiH2]",
            "[SiH]",
            "[Na+]",
            "[Ge]",
            "[Sn]",
            "[Se]",
            "[se]",
            "[P]",
            "[B]",
            "[K+]",
            "[Br-]",
            "[Cl-]",
            "[I-]",
        ]
    )
}


def _normaliser() -> normalizers.Normalizer:
    """From the end of a prompt: the comma before the last number becomes the last slot's letter, and so on."""
    steps: list[normalizers.Normalizer] = []
    for i in reversed(range(len(SLOTS))):
        rest = "".join(rf"{slot}\d+" for slot in SLOTS[i + 1 :])
        steps.append(normalizers.Replace(Regex(rf",(?=\d+{rest}$)"), SLOTS[i]))
    return normalizers.Sequence(steps + [normalizers.Replace(atom, symbol) for atom, symbol in ATOMS.items()])


def polytao_tokenizer(smiles: Iterable[str], *, pairs: int) -> Tokenizer:
    """Learn a tokenizer from SMILES with about `pairs` symbols for them."""
    slotted = [f"{slot}{n}" for slot in SLOTS for n in range(80 if slot == "ⓑ" else 40)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = _normaliser()
    # What stands before the slots (molecular weight, property values) is read digit by digit; `*` stands alone.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\*|[\d.,-](?=[\d.,-]*ⓑ)"), behavior="isolated")
    trainer = trainers.BpeTrainer(
        vocab_size=pairs, special_tokens=SPECIAL, show_progress=False, initial_alphabet=[*ALPHABET, *ATOMS.values()]
    )
    tokenizer.train_from_iterator(smiles, trainer)
    tokenizer.add_tokens([AddedToken(text, normalized=True, special=False) for text in slotted])
    tokenizer.decoder = decoders.Sequence([decoders.Replace(symbol, atom) for atom, symbol in ATOMS.items()] + [decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def polync_tokenizer(smiles: Iterable[str], instructions: Iterable[str], answers: Iterable[str], *, pairs: int) -> Tokenizer:
    """Learn a tokenizer for PolyNC: each instruction with its colon and each answer is one token, as is `*`.

    An answer is a number with decimals, which no SMILES holds, so that its token cannot be taken for ring digits.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(atom, symbol) for atom, symbol in ATOMS.items()])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\*"), behavior="isolated")
    alphabet = list("0123456789.-()[]=#+%@/\\")
    tokenizer.train_from_iterator(
        smiles, trainers.BpeTrainer(vocab_size=pairs, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet)
    )
    tokenizer.add_tokens([AddedToken(text, normalized=False, rstrip=True, special=False) for text in instructions])
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in answers])
    tokenizer.decoder = decoders.Sequence([decoders.Replace(symbol, atom) for atom, symbol in ATOMS.items()] + [decoders.Fuse()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def read_tokenizer(path: Path) -> Tokenizer:
    """Return the tokenizer of a `tokenizer.json`."""
    return Tokenizer.from_file(str(path))
