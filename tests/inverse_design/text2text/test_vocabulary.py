import pytest

from inverse_design.text2text.vocabulary import SLOTS, polytao_tokenizer

CORPUS = [
    "*CC(*)c1ccccc1",
    "*CC(*)(C)C(=O)OC",
    "*c1ccc(Oc2ccc(*)cc2)cc1",
    "*C(Cl)C*",
    "*CC(*)Br",
    "*O[Si](*)(C)C",
    "*c1cc[nH]c1*",
] * 5


@pytest.fixture(scope="module")
def tokenizer():  # type: ignore[no-untyped-def]
    return polytao_tokenizer(CORPUS, pairs=120)


def test_each_count_is_one_token_of_its_slot(tokenizer) -> None:  # type: ignore[no-untyped-def]
    tokens = tokenizer.encode("416,32,0,6,0,2,2,4,0,4,4,0,8,2,6").tokens
    counts = [32, 0, 6, 0, 2, 2, 4, 0, 4, 4, 0, 8, 2, 6]
    assert tokens == ["4", "1", "6", *(f"{slot}{count}" for slot, count in zip(SLOTS, counts, strict=True)), "</s>"]


def test_what_stands_before_the_descriptors_is_read_digit_by_digit(tokenizer) -> None:  # type: ignore[no-untyped-def]
    tokens = tokenizer.encode("-6.19,236,14,0,1,0,0,0,0,2,2,4,0,6,3,2").tokens
    assert tokens[:9] == ["-", "6", ".", "1", "9", ",", "2", "3", "6"]
    assert tokens[9:] == tokenizer.encode("236,14,0,1,0,0,0,0,2,2,4,0,6,3,2").tokens[3:]


@pytest.mark.parametrize("smiles", [*CORPUS[:7], "*c1ccc2c(c1)C(=O)N(*)C2=O", "*C%12CCCCC%12*", "*[Si](*)(Cl)Br"])
def test_smiles_come_back_as_they_went_in(tokenizer, smiles: str) -> None:  # type: ignore[no-untyped-def]
    encoded = tokenizer.encode(smiles)
    assert tokenizer.decode(encoded.ids, skip_special_tokens=True) == smiles
    assert encoded.tokens.count("*") == 2


def test_a_two_letter_element_is_one_symbol(tokenizer) -> None:  # type: ignore[no-untyped-def]
    tokens = tokenizer.encode("*CCl(Br)CCl*").tokens
    assert not any("l" in token or "r" in token for token in tokens)
