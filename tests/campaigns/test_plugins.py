"""A user's own models: the two examples, programs that misbehave in every way, and digests that cover what was run."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from campaigns.campaign import Campaign
from campaigns.dispatch import build
from campaigns.models import Cast
from campaigns.plugin_check import check_generator, check_surrogate
from campaigns.plugins import command_digest, command_generator, command_surrogate, sound
from inverse_design.errors import ModelError, StateError
from inverse_design.protocols import Worker
from inverse_design.spec import CampaignSpec

EXAMPLE = Path(__file__).parents[2] / "campaigns" / "examples" / "plugins"
ASKED = [{"prompt": "1", "seed": 1}, {"prompt": "2", "seed": 2}]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example package as an installer leaves it."""
    project = tomllib.loads((EXAMPLE / "recombine" / "pyproject.toml").read_text())["project"]
    about = tmp_path / "recombine-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"[{group}]\n{name} = {value}\n" for group, all_ in project["entry-points"].items() for name, value in all_.items()]
    (about / "entry_points.txt").write_text("".join(lines))
    (tmp_path / "recombine.py").write_text((EXAMPLE / "recombine" / "recombine.py").read_text())
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("recombine", None)


@pytest.fixture
def example(tmp_path: Path) -> Campaign:
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec" / "density.py").write_text((EXAMPLE / "density.py").read_text())
    text = (EXAMPLE / "own_models.yaml").read_text().replace("[python,", f"[{sys.executable},")
    text = text.replace("generator:\n", "generator:\n  condition: {gap: -6.187}\n")
    (tmp_path / "spec" / "own.yaml").write_text(text)
    return Campaign.from_yaml(
        tmp_path / "spec" / "own.yaml", tmp_path / "run", ["budget.rounds=1", "acquisition.samples_per_round=48"]
    )


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["./python3.11", "density.py"], "density.py"),
        (["./predict.sh", "weights.bin"], "predict.sh"),
        (["./my_model", "--fast"], "my_model"),
    ],
)
def test_a_program_is_called_by_its_file(tmp_path: Path, command: list[str], name: str) -> None:
    for file in ("python3.11", "density.py", "predict.sh", "my_model", "weights.bin"):
        (tmp_path / file).write_text("")
        (tmp_path / file).chmod(0o755)
    surrogate = {"command": command, "properties": ["density"]}
    target = {"property": "density", "min": 1}
    spec = CampaignSpec.model_validate({"schema": 1, "name": "own", "targets": [target], "surrogates": [surrogate]})
    assert list(Cast.of(spec, tmp_path).surrogates) == [name]


def test_the_examples_keep_the_contract_and_run(installed: Path, example: Campaign) -> None:
    cast = Cast.of(example.spec, example.base)
    checks = [*check_generator(build(cast.generator_worker(example.spec)))]
    workers = cast.surrogate_workers()
    assert workers["density.py"].most == 2
    checks += check_surrogate(build(workers["density.py"]), ("density",))
    assert [check for check in checks if not check.kept] == []
    results = example.run(workers=1, executor="local")
    found = results.state.candidates
    assert len(found) > 5
    assert all(candidate.prompt.startswith("-6.19,") and candidate.prompt.count(",") == 15 for candidate in found)
    assert all(0.7 < candidate.predictions["density"].mean < 2.5 for candidate in found)
    (example.base / "density.py").write_text((EXAMPLE / "density.py").read_text() + "\n# another program now")
    with pytest.raises(StateError, match="models"):
        example.resume(workers=1, executor="local")


@pytest.mark.parametrize(
    ("psmiles", "measured"), [("*CC(*)c1ccccc1", 1.05), ("*C*", 0.855), ("*CC(*)Cl", 1.385), ("*CC(*)C", 0.85)]
)
def test_the_example_knows_the_density_of_common_polymers(psmiles: str, measured: float) -> None:
    worker = command_surrogate("density", ["density"], [sys.executable, "density.py"], str(EXAMPLE), 60, 0)
    (answer,) = worker.work([{"psmiles": psmiles}])
    assert answer["predictions"][0]["mean"] == pytest.approx(measured, rel=0.08)


def test_a_digest_covers_package_source_options_and_files(installed: Path, example: Campaign) -> None:
    def digest(**changes: object) -> str:
        spec = example.spec.model_dump(mode="json", by_alias=True)
        spec["generator"] |= changes
        return Cast.of(CampaignSpec.model_validate(spec), example.base).generator.digest

    first = digest()
    assert digest() == first
    assert digest(options={"longest": 11}) != first
    (installed / "recombine.py").write_text("# other\n" + (EXAMPLE / "recombine" / "recombine.py").read_text())
    assert digest() != first


def test_a_digest_covers_every_file_and_folder_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.bin").write_bytes(b"1")
    (tmp_path / "model.py").write_text("pass")
    command = [sys.executable, "model.py", "--weights", "weights", "."]
    first = command_digest(command, tmp_path)
    (tmp_path / "runs.txt").write_text("the folder of the spec itself may change")
    assert command_digest(command, tmp_path) == first
    (tmp_path / "weights" / "a.bin").write_bytes(b"2")
    second = command_digest(command, tmp_path)
    (tmp_path / "model.py").write_text("pass # changed")
    assert len({first, second, command_digest(command, tmp_path), command_digest([*command, "-v"], tmp_path)}) == 4
    with pytest.raises(ModelError, match="no such program; wanted a list of arguments"):
        command_digest(["no-such-program-anywhere"], tmp_path)


ECHO = (
    "import json,sys\nfor line in sys.stdin: print(json.dumps([{'text': str(r['seed'])} for r in json.loads(line)]), flush=True)"
)
BAD = {
    "ends": ("import sys; sys.exit('no licence')", r"ended without an answer \(exit status 1\); it wrote: no licence"),
    "is silent": ("import time; time.sleep(60)", "no answer in 1 s"),
    "no json": ("import sys\nfor line in sys.stdin: print('hello', flush=True)", "Expecting value"),
    "too few": ("import sys\nfor line in sys.stdin: print('[]', flush=True)", "answered 0 rows to 2 rows"),
    "no text": ("import sys\nfor line in sys.stdin: print('[{}, {}]', flush=True)", "an answer without a text"),
    "half a line": ("import sys\nsys.stdin.readline(); print('[', end='', flush=True)", "ended without an answer"),
}


def program(folder: Path, text: str, timeout: float = 60, retries: int = 0) -> Worker:
    (folder / "model.py").write_text(text)
    return command_generator([sys.executable, "-S", "model.py"], str(folder), timeout, retries)


@pytest.mark.parametrize("case", BAD)
def test_a_program_that_misbehaves_is_named(tmp_path: Path, case: str) -> None:
    text, said = BAD[case]
    with pytest.raises(ModelError, match=rf"model\.py: .*{said}.*\(1 tries\)"):
        program(tmp_path, text, timeout=1 if case == "is silent" else 60).work(ASKED)


def test_a_program_that_falls_is_started_again(tmp_path: Path) -> None:
    once = "import os\nif not os.path.exists('fell'): open('fell', 'w').close(); raise SystemExit(1)\n"
    worker = program(tmp_path, once + ECHO, retries=1)
    assert worker.work(ASKED) == [{"text": "1"}, {"text": "2"}]
    assert worker.work(ASKED[1:]) == [{"text": "2"}]


def test_arguments_never_reach_a_shell(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(ECHO)
    worker = command_generator([sys.executable, "-S", "model.py", "; touch owned", "$(touch owned)"], str(tmp_path), 60, 0)
    worker.work(ASKED)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("bad", [{"mean": float("nan")}, {"std": 0.0}, {"std": None}, {"in_domain": 1}, {"mean": True}])
def test_what_is_no_prediction_is_refused(bad: dict[str, object]) -> None:
    one = {"surrogate": "x", "property": "Tg", "mean": 1.0, "std": 2.0, "in_domain": True}
    with pytest.raises(ValueError, match="is no prediction"):
        sound([{"predictions": [one | bad]}])
    assert sound([{"predictions": [one | {"mean": 5000.0}]}]) == [{"predictions": []}]


COUNTING = """import json, sys
for line in sys.stdin:
    rows = json.loads(line)
    print(json.dumps([{'text': '*' + 'C' * (1 + i) + '*'} for i, row in enumerate(rows)]), flush=True)
"""


def test_a_broken_contract_is_noticed(tmp_path: Path) -> None:
    checks = {check.promise: check.kept for check in check_generator(program(tmp_path, COUNTING))}
    assert not checks.pop("a text depends on its prompt and seed alone, not on its batch")
    assert all(checks.values())


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ({"generator": {"command": ["x"], "model": "y"}}, "give model or command"),
        ({"generator": {"options": {"a": 1}}}, "options are for a plug-in"),
        ({"generator": {"timeout": 3}}, "timeout and retries are for a command"),
        ({"generator": {"command": "python x.py"}}, "tuple"),
        ({"surrogates": [{"command": ["x"]}]}, "a command or plug-in needs properties"),
        ({"surrogates": [{"model": "bundled:polync", "properties": []}]}, "they may be left out"),
        ({"surrogates": [{"command": ["x"], "properties": ["Tgg"]}]}, "unknown property 'Tgg'"),
        ({"surrogates": [{"model": "bundled:polync", "concurrency": 2}]}, "concurrency is for a command"),
    ],
)
def test_a_spec_that_names_a_model_in_two_ways_is_refused(block: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CampaignSpec.model_validate({"schema": 1, "name": "x", "targets": [{"property": "Tg", "min": 3}], **block})


def test_own_models_survive_the_resolved_spec() -> None:
    given = {"command": ["python", "x.py"], "retries": 0}
    spec = CampaignSpec.model_validate(
        {
            "schema": 1,
            "name": "x",
            "targets": [{"property": "Tg", "min": 3}],
            "generator": {**given, "condition": {"gap": -6.187}},
        }
    )
    assert CampaignSpec.model_validate(spec.as_json()) == spec
    assert spec.generator.prefix == "-6.19,"
