import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inverse_design.descriptor_names import IDENTITIES, NAMES, contradiction
from inverse_design.properties import PROPERTIES
from inverse_design.spec import MAY_CHANGE, CampaignSpec, Target, json_schema

ROOT = Path(__file__).parents[2]
TG = {"property": "Tg", "min": 350}


def spec(**changes):
    return CampaignSpec.model_validate({"schema": 1, "name": "high-tg", "targets": [TG], **changes})


def structure(**changes):
    return spec(structure=changes).structure


def target(**changes):
    return Target.model_validate({"property": "Tg", **changes})


def test_the_smallest_spec_has_the_defaults_of_everything_else():
    smallest = spec()
    assert smallest.seed == 0
    assert smallest.confidence == 0.6
    assert [choice.model for choice in smallest.surrogates] == ["bundled:polync", "bundled:polyscreen", "bundled:tanimoto"]
    assert (smallest.generator.model, smallest.generator.temperature) == ("bundled:polytao", 1.0)
    assert (smallest.generator.top_k, smallest.generator.top_p) == (100, 0.999)
    assert (smallest.acquisition.strategy, smallest.acquisition.pool) == ("thompson", 1500)
    assert (smallest.acquisition.samples_per_round, smallest.acquisition.samples_per_prompt) == (384, 4)
    assert (smallest.novelty.reference, smallest.novelty.max_similarity) == ("bundled", 0.95)
    assert (smallest.want.candidates, smallest.want.clusters) == (25, 5)
    assert (smallest.budget.rounds, smallest.budget.samples, smallest.budget.hours) == (20, 20_000, None)
    assert smallest.structure.sa_score is not None
    assert smallest.structure.sa_score.max == 4.5


# Independent truth: 350 K is 76.85 degC, 662 degF is 350 degC, 2700 meV is 2.7 eV.
@pytest.mark.parametrize(
    ("given_target", "low", "high"),
    [
        ({"property": "Tg", "min": 350}, 350, math.inf),
        ({"property": "Tg", "max": -40, "unit": "degC"}, -math.inf, -40),
        ({"property": "Tg", "min": 350, "unit": "K"}, 76.85, math.inf),
        ({"property": "Tg", "min": 662, "unit": "degF"}, 350, math.inf),
        ({"property": "Tg", "min": 100, "max": 150}, 100, 150),
        ({"property": "bandgap_chain", "range": [2700, 3000], "unit": "meV"}, 2.7, 3.0),
        ({"property": "Tg", "value": 373.15, "tolerance": 10, "unit": "K"}, 90, 110),
        ({"property": "density", "value": 1.2, "tolerance": 0.1}, 1.1, 1.3),
        ({"property": "free_volume", "min": 40, "unit": "%"}, 0.4, math.inf),
        ({"property": "Tg", "min": 350, "unit": "°C"}, 350, math.inf),
        ({"property": "thermal_conductivity", "min": 0.4, "unit": "W/(m K)"}, 0.4, math.inf),
        ({"property": "permeability_O2", "range": [10, 1000], "unit": "Barrer"}, 1, 3),
        ({"property": "Tg", "maximize": True}, -math.inf, math.inf),
    ],
)
def test_bounds_are_in_the_property_s_own_unit(given_target, low, high):
    parsed = Target.model_validate(given_target)
    assert parsed.low == pytest.approx(low)
    assert parsed.high == pytest.approx(high)


def test_a_direction_may_come_with_bounds():
    assert target(min=300, maximize=True).direction == "maximize"
    assert target(minimize=True).direction == "minimize"
    assert target(min=300, minimize=False).direction is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "nothing is asked; give min"),
        ({"maximize": False}, "nothing is asked"),
        ({"property": "tg", "min": 1}, "unknown property 'tg'; did you mean 'Tg'"),
        ({"property": "bandgap_chian", "min": 1}, "did you mean 'bandgap_chain'"),
        ({"property": "zzz", "min": 1}, "unknown property 'zzz'; one of: Tg, Tm, density"),
        ({"min": 1, "unit": "bar"}, "unknown unit 'bar' for Tg; accepted: degC, C, K, kelvin, celsius, degF"),
        ({"min": 200, "max": 100}, "nothing lies between 200 degC and 100 degC"),
        ({"min": 100, "max": 100}, "nothing lies between"),
        ({"range": [200, 100]}, "nothing lies between"),
        ({"range": [100, 200], "min": 1}, "give one of"),
        ({"value": 100, "tolerance": 5, "max": 1}, "give one of"),
        ({"value": 100}, "value and tolerance go together"),
        ({"tolerance": 5, "min": 1}, "value and tolerance go together"),
        ({"value": 100, "tolerance": 0}, "greater than 0"),
        ({"value": 100, "tolerance": 5, "maximize": True}, "maximize and value exclude"),
        ({"maximize": True, "minimize": True}, "exclude each other"),
        ({"min": 623}, "623 degC is out of reach: Tg lies between -150 and 600 degC; check the unit"),
        ({"max": -200}, "-200 degC is out of reach"),
        ({"min": 1000, "unit": "K"}, "1000 K is out of reach: Tg lies between 123.1 and 873.1 K; check the unit"),
        ({"min": 200, "max": 100, "unit": "°F"}, "nothing lies between 200 degF and 100 degF"),
        ({"min": 1, "weight": 0}, "greater than 0"),
        ({"min": math.nan}, "finite"),
        ({"min": math.inf}, "finite"),
        ({"min": True}, "valid number"),
        ({"min": "350"}, "valid number"),
        ({"range": [1, 2, 3]}, "at most 2 items"),
        ({"min": 1, "mni": 2}, "Extra inputs"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        target(**changes)


def test_two_targets_on_one_property_are_refused():
    with pytest.raises(ValidationError, match="targets 0 and 1 are both on Tg; join them into one"):
        spec(targets=[TG, {"property": "Tg", "max": 400}])
    with pytest.raises(ValidationError, match="at least one target"):
        spec(targets=[])


@pytest.mark.parametrize("name", ["a", "high-tg", "0.5_x", "a" * 64, "console", "com"])
def test_names_that_can_be_folders(name):
    assert spec(name=name).name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (name, "cannot name a folder everywhere")
        for name in ("A", "a b", "a/b", "a\\b", "..", ".a", "-a", "a.", "a" * 65, "é", "a\n", "a:b")
    ]
    + [(name, "reserved name on Windows") for name in ("con", "nul", "com1", "lpt9", "aux.txt")]
    + [("", "at least 1 character"), (5, "valid string")],
)
def test_names_that_cannot(name, message):
    with pytest.raises(ValidationError, match=message):
        spec(name=name)


@pytest.mark.parametrize("version", [2, 0, True, 1.0, "1", None])
def test_another_format_is_refused(version):
    with pytest.raises(ValidationError, match="this version reads schema 1"):
        spec(schema=version)


def test_structure_takes_one_or_many():
    parsed = structure(
        **{"class": "polyimide", "required": "[#6]C(=O)N", "forbidden": ["[F]", "Cl"], "elements": ["C", "N", "O"]}
    )
    assert parsed.classes == ("polyimide",)
    assert parsed.required == ("[#6]C(=O)N",)
    assert parsed.forbidden == ("[F]", "Cl")
    assert parsed.elements == ("C", "N", "O")
    assert parsed.alerts
    assert structure(**{"class": ["polyester", "polyamide"]}).classes == ("polyester", "polyamide")
    assert structure(sa_score=None).sa_score is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class": "polyimid"}, "unknown polymer class 'polyimid'; did you mean 'polyimide'"),
        ({"required": ["C", "[#6"]}, r"required\.1\n.*'\[#6' is not a SMARTS pattern"),
        ({"forbidden": ["é"]}, "'é' is not a SMARTS pattern"),
        ({"forbidden": [""]}, "at least 1 character"),
        ({"forbidden": ["C\nN"]}, "is not a SMARTS pattern"),
        ({"required": ["C"], "forbidden": ["N", "C"]}, "'C' is both required and forbidden"),
        ({"elements": ["C", "Xx"]}, r"elements\.1\n.*unknown element 'Xx'"),
        ({"elements": ["*"]}, r"unknown element '\*'"),
        ({"sa_score": {"max": 0.5}}, "greater than 1"),
        ({"descriptors": {"RingCounts": {"max": 1}}}, "unknown descriptor 'RingCounts'; did you mean 'RingCount'"),
        ({"descriptors": {"RingCount": {}}}, "give min, max or both"),
        ({"descriptors": {"RingCount": {"min": 1.5}}}, "valid integer"),
        ({"descriptors": {"RingCount": {"min": -1}}}, "greater than or equal to 0"),
        ({"descriptors": {"RingCount": {"min": 3, "max": 2}}}, "RingCount min 3 is above its max 2"),
    ],
)
def test_a_structure_that_cannot_be_meant_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        structure(**changes)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            {"RingCount": {"max": 0}, "NumAromaticRings": {"min": 2}},
            "NumAromaticRings min 2 and RingCount max 0: no molecule has this, because RingCount = NumAliphaticRings",
        ),
        (
            {"RingCount": {"max": 1}, "NumAromaticCarbocycles": {"min": 2}},
            "because NumAromaticRings = NumAromaticCarbocycles.*; RingCount = NumAliphaticRings",
        ),
        (
            {"NumAromaticRings": {"min": 3}, "NumAromaticCarbocycles": {"max": 1}, "NumAromaticHeterocycles": {"max": 1}},
            "NumAromaticRings = NumAromaticCarbocycles",
        ),
        ({"RingCount": {"min": 2}, "NumAliphaticRings": {"max": 0}, "NumAromaticRings": {"max": 1}}, "RingCount = "),
        (
            {"NumHeteroatoms": {"max": 3}, "NOCount": {"min": 2}},
            r"NumHeteroatoms >= NOCount \+ 2 \(both attachment points count\)",
        ),
        ({"NumHeteroatoms": {"max": 1}}, "both attachment points count"),
        ({"NumHAcceptors": {"min": 3}, "NumHeteroatoms": {"max": 4}}, "NumHAcceptors <= NumHeteroatoms - 2"),
        ({"MolWt": {"max": 100}, "HeavyAtomCount": {"min": 10}}, "MolWt >= 12 HeavyAtomCount"),
        (
            {"MolWt": {"max": 100}, "NumRotatableBonds": {"min": 12}},
            "NumRotatableBonds <= HeavyAtomCount.*MolWt >= 12|MolWt >= 12.*NumRot",
        ),
        ({"NHOHCount": {"min": 1}, "NOCount": {"max": 0}}, "NHOHCount <= 3 NOCount"),
        ({"HeavyAtomCount": {"max": 0}}, "HeavyAtomCount >= 1"),
    ],
)
def test_descriptor_bounds_that_no_molecule_meets_are_refused_by_the_identity(bounds, message):
    with pytest.raises(ValidationError, match=message):
        structure(descriptors=bounds)


def test_descriptor_bounds_that_a_molecule_meets_are_accepted():
    # PMDA-ODA and polyethylene, exactly: descriptors of the first as published with PolyTAO's prompts.
    kapton_like = (416, 32, 0, 6, 0, 2, 2, 4, 0, 4, 4, 0, 8, 2, 6)
    polyethylene = (28, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 0)
    for vector in (kapton_like, polyethylene):
        exact = {name: {"min": value, "max": value} for name, value in zip(NAMES, vector, strict=True)}
        bounds = structure(descriptors=exact).descriptors
        assert [(bounds[name].low, bounds[name].high) for name in NAMES] == [(value, value) for value in vector]
    assert structure(descriptors={"RingCount": {"min": 2}}).descriptors["RingCount"].high == math.inf


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), st.tuples(st.integers(0, 6), st.integers(0, 6)).map(sorted), max_size=5))
def test_no_contradiction_where_a_vector_obeys_all_identities(bounds):
    """Bounds consistency is sound: what it refuses has no solution, here among vectors built to obey the ring sums."""
    if contradiction({name: (float(low), float(high)) for name, (low, high) in bounds.items()}) is None:
        return
    ring_parts = ("NumAliphaticCarbocycles", "NumAliphaticHeterocycles", "NumAromaticCarbocycles", "NumAromaticHeterocycles")
    for parts in ((0, 0, 0, 0), (1, 0, 2, 0), (0, 1, 0, 1), (2, 0, 0, 3), (0, 3, 3, 0), (1, 1, 1, 1)):
        for extra in range(7):
            vector = dict.fromkeys(NAMES, extra) | dict(zip(ring_parts, parts, strict=True))
            vector["NumAliphaticRings"] = parts[0] + parts[1]
            vector["NumAromaticRings"] = parts[2] + parts[3]
            vector["RingCount"] = sum(parts)
            if all(sum(f * vector[n] for n, f in identity.factors.items()) >= identity.constant for identity in IDENTITIES):
                assert not all(low <= vector[name] <= high for name, (low, high) in bounds.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"novelty": {"max_similarity": 1.5}}, "less than or equal to 1"),
        ({"novelty": {"reference": ""}}, "at least 1 character"),
        ({"generator": {"temperature": 0}}, "greater than 0"),
        ({"generator": {"top_k": 0}}, "greater than or equal to 1"),
        ({"generator": {"top_p": 0}}, "greater than 0"),
        ({"surrogates": []}, "at least one model"),
        ({"surrogates": ["a", {"model": "a"}]}, "a is given twice"),
        ({"surrogates": [{"modle": "a"}]}, "Extra inputs"),
        ({"acquisition": {"strategy": "best"}}, "feasible-yield"),
        ({"acquisition": {"samples_per_round": 8, "samples_per_prompt": 9}}, r"9 is more than samples_per_round \(8\)"),
        ({"acquisition": {"pool": 10**9}}, "less than or equal to 20000"),
        ({"want": {"candidates": 3}}, r"clusters \(5\) cannot exceed candidates \(3\)"),
        ({"confidence": 1.0}, "less than 1"),
        ({"budget": {"rounds": None}}, "valid integer"),
        ({"budget": {"hours": 0}}, "greater than 0"),
        ({"seed": -1}, "greater than or equal to 0"),
        ({"seed": 2**63}, "less than or equal to"),
        ({"seed": 1.0}, "valid integer"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_every_part_refuses_what_it_cannot_use(changes, message):
    with pytest.raises(ValidationError, match=message):
        spec(**changes)


def test_a_spec_never_changes():
    with pytest.raises(ValidationError, match="frozen"):
        spec().seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        spec().targets[0].min = 1.0


def test_the_digest_is_the_hash_of_canonical_json_and_the_identity_leaves_out_what_may_change():
    text = json.dumps(spec().as_json(), sort_keys=True, separators=(",", ":"))
    # A folder that was started before these fields came can be resumed: what they stand for by default is what was done.
    older = text.replace('"backend":"torch",', "").replace('"device":"cpu",', "")
    assert spec().digest() == hashlib.sha256(older.encode()).hexdigest()
    cuda = spec(generator={"device": "cuda"})
    assert cuda.identity() != spec().identity()
    assert spec(seed=1).digest() != spec().digest()
    assert frozenset({"want", "budget"}) == MAY_CHANGE
    richer = spec(budget={"rounds": 50, "hours": 2.5}, want={"candidates": 100})
    assert richer.identity() == spec().identity()
    assert richer.digest() != spec().digest()
    for changed in ({"seed": 1}, {"confidence": 0.7}, {"structure": {"alerts": False}}, {"novelty": {"max_similarity": 0.9}}):
        assert spec(**changed).identity() != spec().identity()


def test_defaults_written_out_or_left_out_are_the_same_spec():
    assert spec(seed=0, structure={}, want={"candidates": 25}).digest() == spec().digest()
    assert spec(surrogates=["bundled:polync", {"model": "bundled:polyscreen"}, "bundled:tanimoto"]) == spec()


@st.composite
def targets(draw):
    known = PROPERTIES[draw(st.sampled_from(sorted(PROPERTIES)))]
    inner = st.floats(known.low, known.high, exclude_min=True, exclude_max=True)
    low, high = sorted((draw(inner), draw(inner)))
    kinds = [{"min": low}, {"max": high}, {"maximize": True}, {"min": low, "minimize": True}]
    if low < high:
        kinds += [{"min": low, "max": high}, {"range": [low, high]}]
    weight = draw(st.floats(0.001, 1000))
    return {"property": known.name, "weight": weight, **draw(st.sampled_from(kinds))}


specs = st.fixed_dictionaries(
    {
        "schema": st.just(1),
        "name": st.text("abz09-_.", max_size=8).map(lambda text: f"x{text}y"),
        "targets": st.lists(targets(), min_size=1, max_size=4, unique_by=lambda item: item["property"]),
    },
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "structure": st.fixed_dictionaries(
            {},
            optional={
                "required": st.lists(
                    st.sampled_from(["[#6]", "*", "[!#1]", "C#N", "c1ccccc1", "[O;H1]", "[$([CX3]=O)]"]), unique=True
                ),
                "elements": st.lists(st.sampled_from(["C", "N", "O", "Si"]), unique=True),
                "descriptors": st.dictionaries(
                    st.sampled_from(NAMES[:4]), st.builds(lambda low: {"min": low}, st.integers(0, 3))
                ),
                "sa_score": st.one_of(st.none(), st.builds(lambda high: {"max": high}, st.floats(1.01, 10))),
                "alerts": st.booleans(),
            },
        ),
        "novelty": st.fixed_dictionaries(
            {"max_similarity": st.floats(0, 1)}, optional={"reference": st.sampled_from(["none", "bundled"])}
        ),
        "surrogates": st.lists(st.text("abcdefgh:*'\"#-{}[]?!é ", min_size=1, max_size=12), min_size=1, max_size=3, unique=True),
        "confidence": st.floats(0.01, 0.99),
        "budget": st.fixed_dictionaries(
            {
                "rounds": st.integers(1, 99),
                "samples": st.none() | st.integers(1, 10**6),
                "hours": st.none() | st.floats(0.01, 1e3),
            }
        ),
    },
)


@settings(max_examples=40, deadline=None)
@given(specs)
def test_a_resolved_spec_reads_back_to_the_same_spec(block):
    first = CampaignSpec.model_validate(block)
    again = CampaignSpec.model_validate(json.loads(json.dumps(first.as_json(), allow_nan=False)))
    assert again == first
    assert again.digest() == first.digest()


def test_the_published_schema_is_current():
    published = json.loads((ROOT / "campaigns" / "schema" / "campaign-v1.json").read_text(encoding="utf-8"))
    assert published == json_schema(), "write json.dumps(json_schema(), indent=1) to campaigns/schema/campaign-v1.json"


def test_the_schema_knows_the_names_and_accepts_what_a_spec_accepts():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    smallest = {"schema": 1, "name": "a", "targets": [TG], "structure": {"class": "polyimide"}, "surrogates": ["x"]}
    assert validator.is_valid(smallest)
    assert validator.is_valid(spec().as_json())
    for wrong in (
        {"targets": [{"property": "tg", "min": 1}]},
        {"structure": {"class": "polyimid"}},
        {"structure": {"descriptors": {"Rings": {"min": 1}}}},
        {"schema": 2},
        {"nmae": "x"},
    ):
        assert not validator.is_valid({**smallest, **wrong}), wrong


def test_importing_the_spec_loads_no_chemistry_and_no_tensors():
    heavy = "{'rdkit', 'torch', 'ray', 'transformers'}"
    code = f"import sys, inverse_design.spec, campaigns.yaml_source, campaigns.template; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"
