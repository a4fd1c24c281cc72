"""PolyNC: what counts as an answer, averages over spellings, error bars, and the bundled weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem
from safetensors.torch import save_file

import surrogates
from inverse_design.errors import ModelError
from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.split import WELL_KNOWN
from inverse_design.text2text.sampling import TorchWriter
from inverse_design.text2text.t5 import T5Config
from inverse_design.text2text.training import new_model
from inverse_design.text2text.vocabulary import polync_tokenizer
from surrogates.calibration import Z80, Calibration, quantile80
from surrogates.neighbours import Neighbours, fingerprints
from surrogates.polync import PUBLISHED, PolyNC, read_answer, spellings

TG = PROPERTIES["Tg"]
STYRENE = "*CC(*)c1ccccc1"
BUNDLED = Path(surrogates.__file__ or "").parent / "weights" / "polync"


def unit(text: str) -> RepeatUnit:
    found = parse(text)
    assert isinstance(found, RepeatUnit)
    return found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("119.85", 119.85),
        ("-85.15", -85.15),
        ("100", 100.0),
        ("<pad><s> 119.85</s>", 119.85),
        ("<pad><s> -85.15</s><pad>", -85.15),
        ("", None),
        (" ", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e400", None),
        ("1e2", None),
        ("12,3", None),
        ("12.3 C", None),
        ("12 3", None),
        ("1 <pad> 2", None),
        (" 12.3 ", 12.3),
        ("12.3.4", None),
        ("\u221285.15", None),  # Unicode minus
        ("\u0661\u0662", None),  # digits, but not ours
        ("--5", None),
        ("+5", None),
        (".5", None),
        ("5.", None),
        ("class 1", None),
        ("1" * 10_000, None),
        ("600.01", None),
        ("-150.01", None),
        ("99999", None),
    ],
)
def test_only_a_plain_number_in_range_is_an_answer(text: str, value: float | None) -> None:
    assert read_answer(text, TG) == value


def test_spellings_are_one_molecule_and_a_function_of_it() -> None:
    found = spellings(unit(STYRENE), 8)
    assert len(found) == len(set(found)) > 3
    assert {Chem.CanonSmiles(text) for text in found} == {Chem.CanonSmiles(STYRENE)}
    assert found == spellings(unit(STYRENE), 8)
    assert all("[*]" not in text for text in found)


class Scripted(PolyNC):
    """A PolyNC whose raw answers are given."""

    def __init__(self, texts: Sequence[str], calibration: Calibration) -> None:
        self.texts, self.asked = list(texts), []
        self.calibrations, self.properties, self.neighbours, self.count = {"Tg": calibration}, ("Tg",), None, len(texts)
        self.one_token = False

    def ask(self, questions: Sequence[str]) -> list[str]:
        self.asked = list(questions)
        return [self.texts[i % len(self.texts)] for i in range(len(questions))]


def test_answer_is_the_mean_of_the_valid_spellings() -> None:
    model = Scripted(["100.00", "nan", "130.00", "9999.00"], Calibration.constant(Z80 * 20))
    (answer,) = model.predict([STYRENE], ["Tg"])
    assert answer["Tg"] is not None
    assert answer["Tg"].mean == pytest.approx(115.0)
    assert answer["Tg"].std == pytest.approx(20.0)
    assert all(question.startswith("Predict the Tg of the following SMILES: ") for question in model.asked)


def test_no_valid_answer_is_none_and_keeps_the_order() -> None:
    assert Scripted(["nan", "", "1e400"], Calibration.constant(1.0)).predict([STYRENE], ["Tg"]) == [{"Tg": None}]
    found = Scripted(["7.00"], Calibration.constant(1.0)).predict(["no polymer", "*CC*"], ["Tg"])
    assert found[0] == {"Tg": None}
    assert found[1]["Tg"] is not None


def test_a_property_without_error_bars_is_refused() -> None:
    with pytest.raises(ModelError, match="does not answer 'Tm'"):
        Scripted(["1.00"], Calibration.constant(1.0)).predict([STYRENE], ["Tm"])


def test_intervals_cover_what_they_promise_in_every_third() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0, 300, 4000)
    scale = 5 + predicted / 10  # errors grow with the value, and more out of domain
    similarity = rng.uniform(0, 1, 4000)
    true = predicted + rng.normal(size=4000) * scale * np.where(similarity < 0.3, 2, 1)
    fitted = Calibration.fit(predicted[:2000], true[:2000], similarity[:2000])
    answers = [fitted.predict(mean, near) for mean, near in zip(predicted[2000:], similarity[2000:], strict=True)]
    covered = np.array([abs(t - a.mean) <= Z80 * a.std for t, a in zip(true[2000:], answers, strict=True)])
    for third in range(3):
        assert 0.75 < covered[np.digitize(predicted[2000:], fitted.edges) == third].mean() < 0.9
    assert fitted.inside[0] < fitted.inside[2]
    assert all(fitted.predict(mean, 0.2).std > 1.3 * fitted.predict(mean, 0.6).std for mean in (50, 150, 250))
    far = similarity[2000:] < fitted.similarity
    assert [answer.in_domain for answer in answers] == (~far).tolist()
    assert 0.75 < covered[far].mean() < 0.9
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_what_is_missed_in_the_tails_is_given_back() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(100, 60, 3000)
    shrunken = 100 + 0.6 * (true - 100) + rng.normal(0, 5, 3000)  # low ones predicted too high, high ones too low
    fitted = Calibration.fit(shrunken[:300], true[:300], np.ones(300))
    means = np.array([fitted.predict(mean, 1.0).mean for mean in shrunken[300:]])
    for tail in (shrunken[300:] < 60, shrunken[300:] > 140):
        assert abs(np.mean(true[300:][tail] - shrunken[300:][tail])) > 20
        assert abs(np.mean(true[300:][tail] - means[tail])) < 7
    noise = Calibration.fit(true[:60], true[:60] + rng.normal(0, 30, 60), np.ones(60))
    assert np.max(np.abs(noise.bias)) < 12


def test_own_error_bars_are_scaled_to_cover() -> None:
    rng = np.random.default_rng(2)
    predicted, spread = rng.uniform(0, 300, 4000), rng.uniform(1, 20, 4000)
    true = predicted + 2.5 * spread * rng.normal(size=4000)
    fitted = Calibration.fit(predicted[:2000], true[:2000], np.ones(2000), spread[:2000])
    answers = [fitted.predict(mean, 1.0, own) for mean, own in zip(predicted[2000:], spread[2000:], strict=True)]
    assert 0.77 < np.mean([abs(t - a.mean) <= Z80 * a.std for t, a in zip(true[2000:], answers, strict=True)]) < 0.83
    assert fitted.inside == pytest.approx([2.5] * 3, rel=0.15)


def test_conformal_quantile_counts_the_next_one() -> None:
    assert quantile80(np.arange(1.0, 10.0)) == 8.0  # ceil(0.8 * 10)
    assert quantile80(np.array([3.0])) == 3.0


def test_similarity_to_the_training_set_agrees_with_rdkit(tmp_path: Path) -> None:
    mols = [unit(text).mol for text in (STYRENE, "*CC(*)C", "*CCO*")]
    table = Neighbours(fingerprints(mols), {"Tg": np.array([1, 2], dtype=np.int32)})
    table.save(tmp_path / "neighbours.safetensors")
    table = Neighbours.load(tmp_path / "neighbours.safetensors")
    bits = [Chem.rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024).GetFingerprint(mol) for mol in mols]
    expected = max(Chem.DataStructs.TanimotoSimilarity(bits[0], other) for other in bits[1:])
    assert table.nearest(fingerprints(mols), "Tg") == pytest.approx([expected, 1.0, 1.0])
    assert table.nearest(fingerprints(mols), "Tm").tolist() == [0.0, 0.0, 0.0]


def test_error_bars_do_not_depend_on_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [
        "*OCCOC(=O)c1ccc(cc1)C(*)=O",
        "*CCOC(=O)c1ccc(cc1)C(=O)O*",
        "*c1ccc(cc1)C(=O)OCCOC(*)=O",
        "*C(=O)OCCOC(=O)c1ccc(*)cc1",
    ]
    assert len({row.tobytes() for row in fingerprints([unit(text).mol for text in frames])}) > 1
    monkeypatch.setattr(PolyNC, "means", lambda self, psmiles, properties: [{"Tg": 80.0} for _ in psmiles])
    answers = [one["Tg"] for one in PolyNC.load(BUNDLED).predict(frames, ["Tg"])]
    assert answers[0] is not None
    assert answers == [answers[0]] * len(frames)


def write(folder: Path, **files: str) -> Path:
    """An untrained PolyNC whose vocabulary holds three answers."""
    tokenizer = polync_tokenizer(
        [STYRENE] * 5, ["Predict the Tg of the following SMILES:"], ["100.00", "105.00", "-5.00"], pairs=80
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=2
    )
    save_file({name: tensor.half() for name, tensor in new_model(config, 0).state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text)
    return folder


def test_instruction_answer_and_star_are_one_token_each(tmp_path: Path) -> None:
    model = PolyNC.load(write(tmp_path)).checkpoint
    question, answer = model.encode(["Predict the Tg of the following SMILES: *CC*", "-5.00"])
    assert answer[1:] == [1]
    assert model.decode(answer[:1]) == "-5.00"
    assert model.decode(question[1:-1]) == "*CC*"
    assert question[1] == question[-2]


def test_without_calibration_the_authors_widths_apply(tmp_path: Path) -> None:
    model = PolyNC.load(write(tmp_path))
    assert model.properties == tuple(PUBLISHED)
    assert model.calibrations["Tg"].inside[0] * Z80 == pytest.approx(49.0)


def test_batches_do_not_change_answers(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    model = PolyNC.load(write(tmp_path))
    questions = [TG.question.format(smiles=text) for text in ("*C*", "*CCCCCCCCCO*", STYRENE)]
    assert model.ask(questions) == [model.ask([question])[0] for question in questions]
    assert model.ask([]) == []


def test_mean_answer_is_the_mean_of_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = PolyNC.load(write(tmp_path))
    chances = {"100.00": 0.5, "105.00": 0.3, "-5.00": 0.1, "C": 0.1}
    logits = torch.full((1, model.checkpoint.config.vocab_size), -1e9)
    for text, chance in chances.items():
        logits[0, model.checkpoint.encode([text])[0][0]] = np.log(chance)
    monkeypatch.setattr(TorchWriter, "first", lambda self, prompts: logits)
    question = TG.question.format(smiles=STYRENE)
    assert model.expect([question], TG) == pytest.approx([(50 + 31.5 - 0.5) / 0.9])
    assert model.expect([question], PROPERTIES["thermal_conductivity"]) == [None]
    assert model.expect([question], PROPERTIES["atomization_energy"]) == [None]  # one chance in ten


def test_damaged_calibration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"calibration.json: not a calibration"):
        PolyNC.load(write(tmp_path, calibration='{"properties": {"Tg": {}}, "offered": []}'))
    (tmp_path / "calibration.json").write_text('{"properties": {}, "offered": [], "one_token": true}')
    with pytest.raises(ModelError, match=r"neighbours.safetensors: not a table"):
        PolyNC.load(tmp_path)


def test_bundled_weights_know_common_polymers() -> None:
    torch.set_num_threads(1)
    model = PolyNC.load(BUNDLED)
    assert "Tg" in model.properties
    answers = model.predict(list(WELL_KNOWN), ["Tg"])
    tg = {name: answer["Tg"].mean for (name, _), answer in zip(WELL_KNOWN.values(), answers, strict=True) if answer["Tg"]}
    assert abs(tg["polystyrene"] - 100) < 60
    assert tg["Kapton (PMDA-ODA)"] > 250
    assert tg["1,4-polybutadiene"] < -40  # of poly(dimethylsiloxane), at the end of the range, it says none
    assert tg["polycaprolactone"] < 0
    assert answers == model.predict(list(WELL_KNOWN), ["Tg"])
