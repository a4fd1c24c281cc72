"""Which function trains, calibrates and judges each bundled model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from campaigns.models import GENERATORS, SURROGATES, load_surrogate
from inverse_design.errors import ModelError, SpecError

Say = Callable[[str], None]


def _existing(data: Path) -> Path:
    if not (data / "structures.parquet").exists():
        raise ModelError(f"{data}: no structures.parquet here; name the folder with the polymer data")
    return data


def train_model(model: str, data: Path, work: Path, steps: int | None, threads: int, start: Path | None, say: Say) -> None:
    """Train `model` in `work`; ModelError where the data is not in `data`, SpecError for an option that is not the model's."""
    _existing(data)
    if start is not None and model not in ("polytao", "polync"):
        raise SpecError(f"--start: {model} does not begin with the weights of another run; polytao and polync do")
    if start is not None and (
        missing := [name for name in ("tokenizer.json", "model.safetensors") if not (start / name).exists()]
    ):
        raise ModelError(
            f"--start {start}: no {' and no '.join(missing)} here; name the folder of a model that `train {model}` made"
        )
    if steps is not None and model in ("polyscreen", "tanimoto"):
        raise SpecError(f"--steps: {model} stops by itself")
    if model == "polytao":
        from generators.train import SHIPPED, train_polytao

        train_polytao(data, work, SHIPPED if steps is None else SHIPPED.lasting(steps), threads, say, start)
    elif model == "polync":
        from surrogates.train_polync import FURTHER, train_polync
        from surrogates.train_polync import SHIPPED as ASKED

        schedule = ASKED if start is None else FURTHER
        train_polync(data, work, schedule if steps is None else schedule.lasting(steps), threads, say, start)
    elif model == "polyscreen":
        from surrogates.train_polyscreen import train_polyscreen

        train_polyscreen(data, work, threads, say)
    else:
        from surrogates.train_tanimoto import train_tanimoto

        train_tanimoto(data, work, say)


def calibrate_model(model: str, data: Path, weights: Path | None) -> None:
    """Write the error bars of a surrogate beside its weights; ModelError where the data is not in `data`."""
    _existing(data)
    folder = weights or SURROGATES[f"bundled:{model}"]
    if model == "polync":
        from surrogates.evaluation import calibrate_polync

        calibrate_polync(data, folder)
    elif model == "polyscreen":
        from surrogates.train_polyscreen import calibrate_polyscreen

        calibrate_polyscreen(data, folder)


def evaluate_models(
    model: str, data: Path, weights: Path | None, work: Path | None, output: Path | None, say: Say
) -> dict[str, Any]:
    """Print and return held-out figures of one model, of the surrogates together (`consensus`), or of everything (`all`).

    work: where networks of polyScreen's published protocol are kept, which is run where it is given; output: folder for
    one Markdown file a model, figures.json and plots.
    """
    _existing(data)
    if work is not None and model not in ("polyscreen", "all"):
        raise SpecError("--work: only polyscreen has a protocol that trains networks of its own")
    if weights is not None and model in ("consensus", "all"):
        raise SpecError("--weights: name one model to judge other weights than the bundled ones")
    figures: dict[str, Any] = {}
    if model != "polytao":
        figures |= _evaluate_surrogates(model, data, weights, work, output, say)
    if model in ("polytao", "all"):
        from campaigns.conditioning import evaluate_conditioning
        from generators.evaluate import evaluate_polytao

        folder = weights or GENERATORS["bundled:polytao"]
        with _page("polytao", output, say) as out:
            adhered = evaluate_polytao(data, folder, out)
            out("")
            figures["polytao"] = adhered | {"condition": evaluate_conditioning(data, folder, out)}
        if output is not None:
            from campaigns.plots import adherence

            adherence(adhered, output / "polytao-adherence.png")
    if output is not None:
        (output / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        if "consensus" in figures:
            from campaigns.evidence import HELD_OUT, held_out

            (output / HELD_OUT.name).write_text(held_out(figures["consensus"]["properties"]), encoding="utf-8")
    return figures if model == "all" else figures[model]


def _evaluate_surrogates(
    model: str, data: Path, weights: Path | None, work: Path | None, output: Path | None, say: Say
) -> dict[str, Any]:
    from surrogates.consensus import evaluate_consensus
    from surrogates.evaluate_polyscreen import evaluate_polyscreen
    from surrogates.evaluation import HeldOut, evaluate_surrogate, print_table, print_well_known

    folders = {name.removeprefix("bundled:"): folder for name, folder in SURROGATES.items()}
    if model in folders:
        folders = {model: weights or folders[model]}
    models = {name: load_surrogate(folder) for name, folder in folders.items()}
    held = HeldOut(data)
    told = {name: held.ask(one) for name, one in models.items()}
    judged = {name: held.judge([answers]) for name, answers in told.items()}
    figures: dict[str, Any] = {}
    for name, one in models.items() if model != "consensus" else ():
        with _page(name, output, say) as out:
            out(f"asked by default: {', '.join(one.properties)}")
            out("")
            figures[name] = evaluate_surrogate(name, one, held, judged[name], out)
            if name == "polyscreen":
                out("")
                figures[name] |= evaluate_polyscreen(data, folders[name], out, work)
    if len(models) > 1:
        offered = {
            name: {property: own for property, own in told[name].items() if property in one.properties}
            for name, one in models.items()
        }
        judged["consensus"] = held.judge(list(offered.values()))
        with _page("consensus", output, say) as out:
            figures["consensus"] = evaluate_consensus(held, offered, out)
            out("")
            figures["consensus"]["properties"] = print_table(held, judged["consensus"], out)
            out("")
            print_well_known(models, out)
    if output is not None:
        from campaigns.plots import chances, parity

        for name in figures:
            parity(judged[name], output / f"{name}-parity.png")
            chances(judged[name], output / f"{name}-reliability.png")
    return figures


@contextmanager
def _page(name: str, output: Path | None, say: Say) -> Iterator[Say]:
    """Say every line under a heading, and write them to NAME.md in `output` too."""
    lines = [f"## {name}", ""]

    def out(line: str) -> None:
        lines.append(line)
        say(line)

    say(f"\n{lines[0]}\n")
    yield out
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
