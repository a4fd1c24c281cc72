import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from campaigns import reference, yaml_tree
from campaigns.spec_messages import keys_at
from campaigns.template import template
from campaigns.yaml_source import MAX_BYTES, load_spec, problems
from campaigns.yaml_tree import MAX_DEPTH, MAX_EVENTS, UnreadableError
from inverse_design.errors import SpecError
from inverse_design.spec import CampaignSpec, Part

CAMPAIGNS = Path(__file__).parents[2] / "campaigns"
HEAD = "schema: 1\nname: a\n"
SMALL = HEAD + "targets:\n  - {property: Tg, min: 350, unit: degC}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a campaign file and go to its folder, so that problems name it as `c.yaml`."""
    monkeypatch.chdir(tmp_path)

    def to_file(text):
        Path("c.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return Path("c.yaml")

    return to_file


def said(path, *overrides):
    return [str(problem) for problem in problems(path, overrides)]


@pytest.mark.parametrize("name", ["high_tg", "dielectric", "flexible"])
def test_examples_load_and_mean_what_they_say(name):
    spec, text = load_spec(CAMPAIGNS / "examples" / f"{name}.yaml")
    assert text.startswith("# yaml-language-server: $schema=../schema/campaign-v1.json\n")
    assert (CAMPAIGNS / "examples" / "../schema/campaign-v1.json").is_file()
    bounds = {target.property: (target.low, target.high) for target in spec.targets}
    inf = float("inf")
    assert (
        bounds
        == {
            "high_tg": {"Tg": (350, inf)},
            "dielectric": {"bandgap_chain": (5, inf), "Tg": (150, inf)},
            "flexible": {"Tg": (-inf, -40)},
        }[name]
    )
    assert spec.structure.classes == (("polyimide",) if name == "high_tg" else ())
    assert [(n, b.high) for n, b in spec.structure.descriptors.items()] == (
        [("NumAromaticRings", 0)] if name == "flexible" else []
    )


def test_the_template_is_valid_explains_every_key_and_shows_the_defaults(write):
    spec, text = load_spec(write(template()))
    assert text == template()
    assert text.startswith("# yaml-language-server: $schema=campaign-v1.json\n")
    smallest, _ = load_spec(write(SMALL))
    assert spec.model_copy(update={"name": "a"}) == smallest
    for part in Part.__subclasses__():
        for name, field in part.model_fields.items():
            assert f"{field.alias or name}:" in text, (part.__name__, name)


def test_the_source_comes_back_as_it_is(write):
    text = "\ufeff# é\r\n" + SMALL
    assert load_spec(write(text))[1] == text.removeprefix("\ufeff")


def test_every_problem_at_once_each_with_its_place(write):
    path = write(
        """\
# every line below has one thing wrong
schema: 2
name: Bad Name
targets:
  - {property: tg, min: 350, unit: degC}
  - property: Tg
    unit: furlong
    min: ">=150"
  - {property: Tm, min: *x, max: 3}
  - {min: 3}
structure:
  class: [polyester, polyimid]
  requird: []
  forbidden: ["[#6"]
  descriptors: {RingCount: {max: 0}, NumAromaticRings: {min: 2}}
  class: polyamide
novelty: {reference: mine.csv}
generator: !!python/object/apply:os.system {a: 1}
acquisition: {strategy: tompson}
want:
1: 2
"""
    )
    assert said(path) == [
        "c.yaml:2:9: schema: this version reads schema 1, not 2; write schema: 1",
        "c.yaml:3:7: name: 'Bad Name' cannot name a folder everywhere; use 1 to 64 of a-z, 0-9, '-', '_' and '.', "
        "a letter or digit first, no '.' last",
        "c.yaml:5:16: targets.0.property: unknown property 'tg'; did you mean 'Tg'?",
        "c.yaml:7:11: targets.1.unit: unknown unit 'furlong' for Tg; accepted: degC, C, K, kelvin, celsius, degF",
        "c.yaml:8:10: targets.1.min: must be a number, not '>=150'; write min: 150",
        "c.yaml:9:25: targets.2.min: *x is an alias in YAML, and aliases are not accepted; quote a SMILES or SMARTS, as in '[*]CC[*]'",
        "c.yaml:10:5: targets.3.property: missing, and has no default",
        "c.yaml:12:22: structure.class.1: unknown polymer class 'polyimid'; did you mean 'polyimide'?",
        "c.yaml:13:3: structure.requird: unknown key 'requird'; did you mean 'required'?",
        "c.yaml:14:15: structure.forbidden.0: '[#6' is not a SMARTS pattern",
        "c.yaml:15:16: structure.descriptors: NumAromaticRings min 2 and RingCount max 0: no molecule has this, "
        "because RingCount = NumAliphaticRings + NumAromaticRings",
        "c.yaml:16:3: structure.class: given twice, first in line 12; keep one",
        "c.yaml:17:22: novelty.reference: mine.csv does not exist; name a CSV file (relative to the campaign file), bundled or none",
        "c.yaml:18:12: generator: the tag !!python/object/apply:os.system is not accepted; quote a text that begins with !",
        "c.yaml:19:25: acquisition.strategy: must be 'feasible-yield', 'thompson', 'elite' or 'random', not 'tompson'; did you mean 'thompson'?",
        "c.yaml:20:1: want: must be a mapping of key: value lines; nothing is given, so fill it in or delete the line",
        "c.yaml:21:1: a key must be text, not 1",
    ]
    with pytest.raises(SpecError, match=r"c\.yaml:2:9: schema") as caught:
        load_spec(path)
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == 17


QUOTE = "quote a SMILES or SMARTS, as in '[*]CC[*]'"
BOUND = "write a bound as min: 150 or max: 150, not with > or <"


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("x: *CC*", 4, f"x: *CC* is an alias in YAML, and aliases are not accepted; {QUOTE}"),
        ("x: [*]CC[*]", 4, f"not YAML; {QUOTE}"),
        ("x: {y: [*]CC[*]}", 8, f"not YAML; {QUOTE}"),
        ("x: [[*]CC]", 5, f"not YAML; {QUOTE}"),
        ("x: [[#6]C]", 5, f"not YAML; {QUOTE}"),
        ("x: [#6]C", 4, f"not YAML; {QUOTE}"),
        ("x: [CH2]CC", 4, f"not YAML; {QUOTE}"),
        ("x: [!#6]C", 4, f"not YAML; {QUOTE}"),
        ("tg: >=150", 5, f"not YAML; {BOUND}"),
        ("tg: > 150", 5, f"not YAML; {BOUND}"),
        ("tg: >150", 5, f"not YAML; {BOUND}"),
        ("x: {min: >=150}", 10, f"not YAML; {BOUND}"),
        ("x: {min: > -40}", 10, f"not YAML; {BOUND}"),
        ("x:\n\t- 1", 1, "a tab; indent with spaces"),
        ("x: &a 1", 4, "x: &a is an anchor in YAML, and anchors are not accepted; write the value out"),
        ("x: !mine 1", 4, "x: the tag !mine is not accepted; quote a text that begins with !"),
        ("x: !!int b", 4, "x: the tag !!int is not accepted"),
        ("x: !!set {a}", 4, "x: the tag !!set is not accepted"),
        ("x: !!python/name:os.system ''", 4, "x: the tag !!python/name:os.system is not accepted"),
        ("[a]: 1", 1, "a key must be text, not ['a']"),
        ("x: \x07", 4, "the character U+0007 is not allowed"),
        ("x: a: b", 5, "not YAML: mapping values are not allowed here"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_where_it_stands(write, line, column, message):
    first, *_ = (text for text in said(write(SMALL + line + "\n")) if "unknown key" not in text)
    number = 6 if "\t" in line else 5
    assert first.startswith(f"c.yaml:{number}:{column}: {message}")


def test_a_second_document_is_refused(write):
    assert said(write(SMALL + "---\na: 1\n")) == ["c.yaml:5:1: a second document; a campaign file holds one"]
    assert said(write("---\n" + SMALL + "...\n")) == []


def test_directives_are_refused(write):
    assert said(write("%YAML 1.1\n---\n" + SMALL)) == ["c.yaml:1:1: % directives are not accepted; delete the lines above ---"]


def test_core_tags_are_plain_values(write):
    assert load_spec(write(SMALL.replace("name: a", "name: !!str 12")))[0].name == "12"
    assert load_spec(write(SMALL + "seed: !!int 7\nwant: !!map {candidates: 9}\n"))[0].seed == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("-.5", -0.5),
        (".inf", float("inf")),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("~", None),
        ("", None),
        ("True", True),
        ("'true'", "true"),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = yaml_tree.read(f"a: {text}\n").root["a"]
    assert found == value
    assert type(found) is type(value)


def test_too_large_too_deep_too_many(write):
    assert said(write("#" * (MAX_BYTES + 1))) == ["c.yaml: is larger than 1048576 bytes, which no campaign needs"]
    assert said(write(SMALL + "x: !" + "a" * 500_000)) == ["c.yaml:5:1: a line longer than 16384 characters"]
    assert said(write("a: " + "[" * 5_000)) == [f"c.yaml:1:{3 + MAX_DEPTH + 1}: nested deeper than 64 levels"]
    keys = "".join(" " * level + "? \n" for level in range(200))
    with pytest.raises(UnreadableError, match="nested deeper than 64 levels"):
        yaml_tree.read(keys)
    assert said(write("a:\n" + " - 1\n" * MAX_EVENTS))[0].endswith("more values than any campaign needs")
    fits = yaml_tree.read("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert fits.refused == []


def test_aliases_never_multiply(write):
    rows = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    found = said(write(SMALL + "\n".join(rows)))
    assert found[0] == "c.yaml:5:1: a0: unknown key 'a0'; known: " + ", ".join(keys_at(()))
    assert sum("is an alias" in text for text in found) == 78
    assert sum("is an anchor" in text for text in found) == 40


def test_digits_without_end_are_no_number(write):
    assert said(write(SMALL + "seed: " + "9" * 5000 + "\n")) == ["c.yaml:5:7: seed: must be a whole number, not inf"]
    (found,) = said(write(SMALL + "seed: " + "9" * 300 + "\n"))
    assert found.startswith("c.yaml:5:7: seed: must be less than or equal to 9223372036854775807, not 9999")
    assert len(found) < 200


def test_bytes_that_are_not_utf_8(write):
    assert said(write(b"schema: 1\nname: \xc3\xa9\xff\n")) == ["c.yaml:2:8: is not UTF-8 text; save it as UTF-8"]
    assert said(write("schema: 1\n".encode("utf-16"))) == ["c.yaml:1:1: is not UTF-8 text; save it as UTF-8"]


def test_no_file_no_content(write, tmp_path):
    path = write("")
    made_of = "a campaign file is made of key: value lines, the first one schema: 1"
    assert said(path) == [f"c.yaml: is empty; {made_of}"]
    assert said(write("# nothing\n")) == [f"c.yaml: is empty; {made_of}"]
    assert said(write("- 1\n")) == [f"c.yaml:1:1: is not a mapping; {made_of}"]
    assert said(Path("none.yaml")) == ["none.yaml: no such file"]
    assert said(tmp_path) == [f"{tmp_path}: is a folder; give the campaign file itself"]
    assert said(Path("c.yaml/x")) == ["c.yaml/x: cannot be read: Not a directory"]
    assert "cannot be read" in said(Path("a\0b"))[0]
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe")
        assert said(Path("pipe")) == ["pipe: is not a regular file"]


def test_numbers_that_are_text_come_with_the_way_out(write):
    def first(value):
        return said(write(f"{HEAD}targets: [{{property: Tg, min: {value}}}]\n"))[0]

    place = "c.yaml:3:31: targets.0.min: must be a number, not "
    assert first("'350'") == place + "'350'; without quotes"
    assert first("350 K") == place + "'350 K'; write the number alone and unit: K"
    assert first("'<200'") == place + "'<200'; write max: 200"
    assert first("hot") == place + "'hot'"
    assert first("[1]") == place + "[1]"
    assert first("yes") == place + "'yes'"
    assert first(".nan") == "c.yaml:3:31: targets.0.min: must be a finite number, not nan"


def test_text_that_is_not_text_says_to_quote(write):
    assert said(write(SMALL.replace("name: a", "name: 12"))) == ["c.yaml:2:7: name: must be text, not 12; put it in quotes"]
    assert said(write(SMALL + "structure: {required: [[C]]}\n")) == [
        f"c.yaml:5:24: structure.required.0: must be text, not ['C']; {QUOTE}"
    ]


def test_one_name_for_a_list_of_one_keeps_its_place(write):
    assert said(write(SMALL + "structure:\n  class: polyimid\n"))[0].startswith(
        "c.yaml:6:10: structure.class: unknown polymer class"
    )


def test_missing_keys_stand_where_their_mapping_begins(write):
    assert said(write("# c\n\nname: a\n")) == [
        "c.yaml:3:1: schema: missing, and has no default",
        "c.yaml:3:1: targets: missing, and has no default",
    ]


def test_an_unknown_key_lists_what_is_known_when_nothing_is_near(write):
    assert said(write(SMALL + "budget: {xyz: 1}\n")) == [
        "c.yaml:5:10: budget.xyz: unknown key 'xyz'; known: rounds, samples, hours"
    ]
    # `max` is at home in too many parts to guess which was meant.
    assert "unknown key 'max'; known: class" in said(write(SMALL + "structure: {max: 3}\n"))[0]
    assert keys_at(()) == tuple(field.alias or name for name, field in CampaignSpec.model_fields.items())
    assert keys_at(("structure", "descriptors", "MolWt")) == ("min", "max")
    assert keys_at(("structure", "sa_score")) == ("max",)
    model = ("model", "backend", "device", "options", "command", "timeout", "retries", "concurrency")
    assert keys_at(("surrogates", 0)) == (*model, "properties")


@pytest.mark.parametrize(
    ("lines", "home"),
    [
        ("makeable: true", "under structure"),
        ("clusters: 3", "under want"),
        ("structure: {confidence: 0.5}", "at the top level"),
        ("structure: {NumAromaticRings: {max: 2}}", "under structure.descriptors"),
        ("structure: {tolerance: 2}", "under targets"),
        ("backend: torch", "under generator or under surrogates"),
    ],
)
def test_a_key_in_the_wrong_part_is_sent_home(write, lines, home):
    assert said(write(SMALL + lines + "\n"))[0].endswith(f"; it belongs {home}")


def test_overrides_are_typed_as_yaml(write):
    path = write(SMALL + "structure:\n")
    spec, text = load_spec(
        path,
        [
            "targets.0.min=77.5",
            "seed=3",
            "want.candidates=9",
            "structure.class=[polyimide, polyamide]",
            "structure.descriptors.RingCount.max=2",
            "budget={rounds: 2, samples: null}",
            "name=b",
        ],
    )
    assert text == SMALL + "structure:\n"
    assert (spec.targets[0].low, spec.seed, spec.want.candidates, spec.name) == (77.5, 3, 9, "b")
    assert spec.structure.classes == ("polyimide", "polyamide")
    assert spec.structure.descriptors["RingCount"].high == 2
    assert (spec.budget.rounds, spec.budget.samples) == (2, None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set: seed: write path=value, as in targets.0.min=320"),
        ("=3", "--set: =3: write path=value"),
        ("a..b=3", "--set: a..b=3: write path=value"),
        ("sede=1", "--set: sede: unknown key 'sede'; did you mean 'seed'?"),
        ("structur.class=polyimide", "--set: structur: unknown key 'structur'; did you mean 'structure'?"),
        ("want.candidate=1", "--set: want.candidate: unknown key 'candidate'; did you mean 'candidates'?"),
        ("targets.0.mni=1", "--set: targets.0.mni: unknown key 'mni'; did you mean 'min'?"),
        ("targets.1.min=1", "--set: targets.1.min: targets is a list of 1; use a number from 0 to 0, not '1'"),
        ("targets.x=1", "--set: targets.x: targets is a list of 1; use a number from 0 to 0, not 'x'"),
        ("name.x=1", "--set: name.x: name is a single value and has no 'x'"),
        ("seed=1.5", "--set: seed: must be a whole number, not 1.5"),
        ("targets.0.min=hot", "--set: targets.0.min: must be a number, not 'hot'"),
        ("targets.0.min=>=150", f"--set: targets.0.min: not YAML; {BOUND}"),
        ("structure.required=[#6]", f"--set: structure.required: not YAML; {QUOTE}"),
        ("name=*x", "--set: name: *x is an alias in YAML"),
        ("name=!x y", "--set: name: the tag !x is not accepted"),
        ("surrogates.0.model=x", "--set: surrogates: must be a list"),
        ("novelty.reference=gone.csv", "--set: novelty.reference: gone.csv does not exist"),
        (
            "structure.stock=gone.csv",
            "--set: structure.stock: gone.csv does not exist; name a CSV file (relative to the campaign file)",
        ),
        (
            "structure={makeable: false, monomer_sa_score: {max: 3}}",
            "--set: structure: monomer_sa_score and stock ask for a route",
        ),
        ("structure.makeable=yes", "--set: structure.makeable: must be true or false"),
    ],
)
def test_overrides_that_cannot_be_applied(write, override, message):
    (found,) = said(write(SMALL), override)
    assert found.startswith(message)


def test_problems_of_the_file_come_before_those_of_overrides(write):
    found = said(write(SMALL + "colour: red\n"), "seed=x", "want.candidates=-1")
    assert [text.split(" ")[0] for text in found] == ["c.yaml:5:1:", "--set:", "--set:"]


@pytest.mark.parametrize("column", ["smiles", "SMILES", "Smiles", "psmiles", "PSMILES"])
def test_a_reference_of_one_s_own(write, column):
    path = write(SMALL + "novelty: {reference: known/mine.csv}\n")
    Path("known").mkdir()
    Path("known/mine.csv").write_text(f"\ufeffid,{column}\n1,\n2,*CC*\n", encoding="utf-8")
    spec, _ = load_spec(path)
    assert reference.reference_source(spec, Path("f")) == Path("f/known/mine.csv")
    Path("sub").mkdir()
    Path("sub/c.yaml").write_text(SMALL + "novelty: {reference: ../known/mine.csv}\n")
    assert said(Path("sub/c.yaml")) == []
    Path("sub/c.yaml").write_text(SMALL + "novelty: {reference: known/mine.csv}\n")
    assert load_spec(Path("sub/c.yaml"), base=Path())[0] == spec


def test_built_in_references_are_names(write):
    for name in ("bundled", "none"):
        spec, _ = load_spec(write(SMALL + f"novelty: {{reference: {name}}}\n"))
        assert reference.reference_source(spec, Path("f")) == name


@pytest.mark.parametrize("name", ["../../x.csv", "/no/such.csv", "~", "CON", "x" * 300, "a b;rm -rf é.csv", "http://x/y.csv"])
def test_a_reference_s_name_is_a_path_and_nothing_else(write, name):
    (found,) = said(write(SMALL + f"novelty: {{reference: '{name}'}}\n"))
    assert found.startswith(f"c.yaml:5:22: novelty.reference: {name} ")
    assert "does not exist" in found or "cannot be read: File name too long" in found


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; it needs a column psmiles and one polymer a row"),
        (b"id,name\n1,x\n", "has no column psmiles, PSMILES, smiles, SMILES or Smiles; its columns are id, name"),
        (b"id,smiles\n", "has no polymer in its column smiles"),
        (b"id,smiles\n1\n2, \n", "has no polymer in its column smiles"),
        (b"smiles\n\xff\n", "is not UTF-8 text; save it as UTF-8"),
        (b"smiles\n" + b"C" * 200_000, "is not CSV: field larger than field limit"),
        (None, "is a folder; name a CSV file, bundled or none"),
    ],
)
def test_a_reference_that_cannot_be_used_is_reported_with_the_rest(write, content, message):
    path = write(SMALL + "novelty: {reference: mine.csv}\ncolour: red\n")
    if content is None:
        Path("mine.csv").mkdir()
    else:
        Path("mine.csv").write_bytes(content)
    first, second = said(path)
    assert first.startswith(f"c.yaml:5:22: novelty.reference: mine.csv {message}")
    assert second.startswith("c.yaml:6:1: colour: unknown key 'colour'")


def test_the_columns_are_those_the_reference_is_read_with():
    novelty = pytest.importorskip("inverse_design.novelty")
    assert novelty.COLUMNS == reference.COLUMNS


@settings(max_examples=25, deadline=None)
@given(
    surrogates=st.lists(
        # A plug-in would have to name its properties.
        st.text(min_size=1, max_size=120).filter(lambda text: text.isprintable() and not text.startswith("plugin:")),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    high=st.floats(-149, 599),
    similarity=st.floats(0, 1),
    hours=st.none() | st.floats(1e-9, 1e9),
    name=st.sampled_from(["0", "1e5", "0x1f", "12", "1.5", "null", "true", "no", "2026-01-02", "1-2", "0o7", "1e", "1_0"]),
)
def test_a_resolved_file_reads_back_to_the_same_spec(tmp_path_factory, surrogates, high, similarity, hours, name):
    spec = CampaignSpec.model_validate(
        {
            "schema": 1,
            "name": name,
            "targets": [{"property": "Tg", "max": high}, {"property": "density", "maximize": True}],
            "structure": {"class": "polyimide", "required": ["[#6]", "*", "[!#6]", "C#N"], "sa_score": None},
            "novelty": {"max_similarity": similarity},
            "surrogates": surrogates,
            "budget": {"hours": hours},
        }
    )
    path = tmp_path_factory.mktemp("resolved") / "resolved.yaml"
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.dump(spec.as_json(), path)
    assert load_spec(path)[0] == spec


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("abx01 \n\t:-[]{},*&!#>|'\"%?~.<=\\é\x85\u2028\ufeff\x00")), max_size=60))
def test_any_text_reads_or_is_refused_within_itself(text):
    try:
        yaml_tree.read(text)
    except UnreadableError as error:
        line, column = error.place
        assert 1 <= line <= len(text) + 2
        assert 1 <= column <= len(text) + 2
