"""The contract of a generator and of a surrogate, tried on the models that a spec names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from inverse_design.polymer import RepeatUnit, parse
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row, Worker
from inverse_design.reference import prior
from inverse_design.seeds import seed
from inverse_design.split import WELL_KNOWN

OTHER_FRAME = {"*CC(*)c1ccccc1": "*C(C*)c1ccccc1", "*COC*": "*CCO*", "*OC(C)C(*)=O": "*C(C)C(=O)O*"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One promise, whether it was kept, and what was seen."""

    promise: str
    kept: bool
    seen: str = ""


def check_generator(worker: Worker, prefix: str = "") -> Iterator[Check]:
    """Try {"prompt", "seed"} -> {"text"} on 8 real prompts and 4 seeds each; `prefix` stands before the 15 numbers."""
    vectors = prior()
    prompts = [prefix + ",".join(map(str, vector)) for vector in vectors[:: len(vectors) // 8][:8].tolist()]
    rows = [{"prompt": prompt, "seed": seed(0, i, j)} for i, prompt in enumerate(prompts) for j in range(4)]
    answers = worker.work(rows)
    yield Check(
        promise="one text per row", kept=len(answers) == len(rows) and all(isinstance(row["text"], str) for row in answers)
    )
    yield Check(promise="the same rows give the same texts", kept=worker.work(rows) == answers)
    yield from _alone(worker, rows, answers, "a text depends on its prompt and seed alone, not on its batch")
    distinct = len({row["text"] for row in answers})
    yield Check(
        promise="seeds and prompts matter", kept=distinct > len(prompts), seen=f"{distinct} distinct texts of {len(rows)}"
    )
    valid = sum(isinstance(parse(row["text"]), RepeatUnit) for row in answers)
    yield Check(promise="texts are repeat units", kept=valid > 0, seen=f"{valid} of {len(rows)}")


def check_surrogate(worker: Worker, properties: tuple[str, ...]) -> Iterator[Check]:
    """Try {"psmiles"} -> predictions on 30 well-known polymers and on other frames of three of them."""
    rows: list[Row] = [{"psmiles": unit} for unit in [*WELL_KNOWN, *OTHER_FRAME.values()]]
    answers = worker.work(rows)
    yield Check(promise="one answer per unit", kept=len(answers) == len(rows) and all("predictions" in row for row in answers))
    every = [one for row in answers for one in row["predictions"]]
    counts = Counter(one["property"] for one in every)
    yield Check(
        promise="every property is answered for some polymer",
        kept=all(counts[name] for name in properties),
        seen=f"{dict(counts)}",
    )
    sound = all(
        one["std"] > 0 and PROPERTIES[one["property"]].low <= one["mean"] <= PROPERTIES[one["property"]].high for one in every
    )
    yield Check(promise="answers are in the physical range, with error bars", kept=sound)
    yield Check(promise="the same units give the same answers", kept=worker.work(rows) == answers)
    yield from _alone(worker, rows, answers, "an answer depends on its unit alone, not on its batch")
    place = {row["psmiles"]: i for i, row in enumerate(rows)}
    apart = [
        abs(a["mean"] - b["mean"]) / a["std"]
        for unit, other in OTHER_FRAME.items()
        for a, b in zip(answers[place[unit]]["predictions"], answers[place[other]]["predictions"], strict=False)
    ]
    seen = f"at most {max(apart, default=0):.2f} standard deviations apart"
    yield Check(promise="one polymer written in two ways gets one answer", kept=max(apart, default=0.0) < 1, seen=seen)


def _alone(worker: Worker, rows: list[Row], answers: list[Row], promise: str) -> Iterator[Check]:
    """Rows in another order, and by themselves: to a few digits, since sums round differently in batches of other shapes."""
    again = worker.work(rows[::-1])[::-1]
    single = [worker.work([row])[0] for row in rows[:3]]
    kept = all(_alike(a, b) for a, b in zip([*again, *single], [*answers, *answers[:3]], strict=True))
    yield Check(promise=promise, kept=kept)


def _alike(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[name], b[name]) for name in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-4 * max(1.0, abs(a))
    return a == b
