"""Why a candidate is in the list, and why a polymer is not: every gate and every raw score, with where they come from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from campaigns.campaign import Campaign
from campaigns.ledger import Ledger
from campaigns.results import wanted
from inverse_design.descriptor_names import NAMES
from inverse_design.errors import SpecError
from inverse_design.lab import Lab
from inverse_design.properties import PROPERTIES
from inverse_design.protocols import Row, Worker
from inverse_design.split import key
from inverse_design.state import Round
from inverse_design.target import combined, log_feasibility
from inverse_design.units import Unit

if TYPE_CHECKING:
    from inverse_design.spec import CampaignSpec, Target


def why(folder: Path, identity: str) -> Row:
    """Return the lineage of a candidate, by its id in exports or its repeat unit: prompt, round, seed, models, scores, gates.

    Raises SpecError where the campaign has no such candidate.
    """
    campaign, ledger = Campaign.load(folder), Ledger.open(folder)
    for record in ledger.rounds():
        for row in record.samples:
            names = (row["psmiles"], row["canonical"], row["text"])
            if row["canonical"] and (identity in names or identity == f"{key(row['canonical']):016x}"):
                if row["status"] == "duplicate":
                    continue
                return _lineage(campaign, ledger, record, row)
    raise SpecError(
        f"{identity}: no candidate of {folder} has this id or repeat unit; ids are in its exports. "
        "For any other polymer: inverse-design why-not DIR SMILES"
    )


def _lineage(campaign: Campaign, ledger: Ledger, record: Round, row: Row) -> Row:
    chosen: Row = next((entry for entry in record.facts.get("prompts", ()) if entry["prompt"] == row["prompt"]), {})
    requested = [int(number) for number in row["prompt"].split(",")[-15:]]
    revision = sum(entry["from_round"] <= record.index for entry in ledger.manifest.get("revisions", ()))
    return {
        "id": f"{key(row['canonical']):016x}",
        "psmiles": row["psmiles"],
        "round": record.index,
        "sample": row["sample"],
        "seed": row["seed"],
        "text": row["text"],
        "prompt": {
            "text": row["prompt"],
            "strategy": record.facts.get("strategy"),
            "step": record.facts.get("step"),
            "spec_revision": revision,
            "weight": chosen.get("weight"),
            "draws": chosen.get("draws"),
            "descriptors": [
                {"descriptor": name, "requested": asked, "realised": got}
                for name, asked, got in zip(NAMES, requested, row["descriptors"], strict=True)
            ],
        },
        "models": ledger.manifest["models"],
        "versions": ledger.manifest["versions"],
    } | judged(campaign.spec, row, campaign.results().state.lab)


def why_not(folder: Path, smiles: str) -> Row:
    """Return what a given polymer scores with the campaign's models and sieve, and what would have to change for it to pass."""
    from campaigns.dispatch import build

    campaign = Campaign.load(folder)
    cast = campaign.cast()
    workers = campaign._workers(cast)
    (row,) = build(workers.sieve).work([{"text": smiles}])
    surrogates: dict[str, Worker] = {}
    if row["psmiles"] is not None:
        surrogates = {name: build(worker) for name, worker in workers.surrogates.items()}
    # A polymer that the sieve refuses is scored all the same: that is what was asked.
    row["predictions"] = [
        answer for worker in surrogates.values() for answer in worker.work([{"psmiles": row["psmiles"]}])[0]["predictions"]
    ]
    state = campaign.results().state
    found = next((c for c in state.candidates if row["canonical"] and c.canonical == row["canonical"]), None)
    models = {"models": cast.digests()}
    return (
        {"psmiles": row["psmiles"], "candidate": None if found is None else found.id}
        | models
        | judged(campaign.spec, row, state.lab)
    )


def judged(spec: CampaignSpec, row: Row, lab: Lab) -> Row:
    """Return every gate, raw score and target of a sample as a campaign keeps it, and what would have to change for it to pass.

    Scores are the models' own; targets are held against them as corrected, or overruled, by what the laboratory measured.
    """
    gates = _gates(spec, row)
    scores = [dict(answer) for answer in row["predictions"] or ()]
    targets = [_target(target, scores, row["canonical"], lab) for target in spec.targets]
    passing = [one["probability"] for one in targets]
    joint = math.prod(passing) if None not in passing else None
    change = [gate["wanted"] for gate in gates if not gate["passed"]]
    for target, one in zip(spec.targets, targets, strict=True):
        if one["value"] is None:
            change.append(f"a model that answers {target.property} for this repeat unit")
        elif one["short_by"]:
            change.append(f"{target.property} {_direction(target, one['value'])} by {target.shown.distance(one['short_by'])}")
        if one["in_domain"] is False:
            change.append(f"{target.property} from a model that knows repeat units like this one")
    if joint is not None and joint < spec.confidence and not any(one["short_by"] for one in targets):
        change.append(f"surer predictions: the chance of passing is {joint:.2f}, the spec asks for {spec.confidence:g}")
    return {
        "status": row["status"],
        "gates": gates,
        "scores": scores,
        "targets": targets,
        "probability": joint,
        "confidence": spec.confidence,
        "passes": not change and joint is not None and joint >= spec.confidence,
        "change": change,
    }


def _gates(spec: CampaignSpec, row: Row) -> list[Row]:
    """The gates in the order they are met; one that was not reached is left out."""
    status: str = row["status"]
    if status.startswith("invalid:"):
        return [_gate("repeat unit", False, status.partition(":")[2], "a valid repeat unit with two attachment points")]
    gates = [_gate("repeat unit", True, row["psmiles"], "a valid repeat unit with two attachment points")]
    if status.startswith("structure:") and row["similarity"] is None:
        what = status.partition(":")[2]
        return [*gates, _gate("structure", False, what, f"a structure that the spec allows (refused for {what})")]
    gates.append(
        _gate("structure", True, f"{row['polymer_class']}, SA score {row['sa_score']:.1f}", "a structure that the spec allows")
    )
    if status == "known":
        return [*gates, _gate("novelty", False, "a known polymer", "a polymer that is not known yet")]
    most = spec.novelty.max_similarity
    nearest = f"similarity {row['similarity']:.2f} to {row['nearest'] or 'nothing'}"
    gates.append(_gate("novelty", status != "too_similar", nearest, f"similarity to known polymers of {most:g} at most"))
    if status.startswith("structure:"):  # the dearest question of all is asked last
        what = status.partition(":")[2]
        gates.append(_gate("making", False, what, f"a polymer that can be made as the spec asks (refused for {what})"))
    return gates


def _gate(name: str, passed: bool, found: str, asked: str) -> Row:
    return {"gate": name, "passed": passed, "found": found, "wanted": asked}


def _target(target: Target, scores: list[Row], canonical: str | None, lab: Lab) -> Row:
    answer = lab.answer(target.property, canonical or "", combined(scores, target.property))
    row: Row = {
        "property": target.property,
        "wanted": wanted(target),
        "unit": PROPERTIES[target.property].unit,
        "shown": target.shown.name,
    }
    if answer is None:
        return row | dict.fromkeys(("value", "std", "in_domain", "probability", "short_by"))
    mean, std = np.array([answer.mean]), np.array([answer.std])
    return row | {
        "value": answer.mean,
        "std": answer.std,
        "in_domain": answer.in_domain,
        "probability": float(np.exp(log_feasibility(target, mean, std))[0]),
        "short_by": max(target.low - answer.mean, answer.mean - target.high, 0.0),
    }


def _direction(target: Target, value: float) -> str:
    return "higher" if value < target.low else "lower"


def told(row: Row) -> str:
    """Return `why` or `why_not` as text for a person."""
    lines = [str(row["psmiles"])]
    if "prompt" in row:
        prompt = row["prompt"]
        lines.append(f"id {row['id']}, round {row['round'] + 1}, sample {row['sample']}, seed {row['seed']}")
        weight = "" if prompt["weight"] is None else f", weight {prompt['weight']:.4f}, drawn {prompt['draws']} times"
        lines.append(
            f"prompt {prompt['text']} ({prompt['strategy']}, {prompt['step']}{weight}, spec revision {prompt['spec_revision']})"
        )
        off = [one for one in prompt["descriptors"] if one["requested"] != one["realised"]]
        asked = ", ".join(f"{one['descriptor']} {one['requested']} -> {one['realised']}" for one in off)
        lines.append(f"requested -> realised: {asked or 'all fifteen as asked'}")
    elif row["candidate"]:
        lines.append(f"is candidate {row['candidate']} of this campaign")
    lines += [f"model {name}: {digest[:16]}" for name, digest in row["models"].items()]
    lines += [f"{'pass' if gate['passed'] else 'FAIL'}  {gate['gate']}: {gate['found']}" for gate in row["gates"]]
    for score in row["scores"]:
        known = "" if score["in_domain"] else ", out of its domain"
        lines.append(
            f"score {score['surrogate']} {score['property']}: {score['mean']:.4g} {PROPERTIES[score['property']].unit}, sd {score['std']:.3g}{known}"
        )
    for one in row["targets"]:
        unit = Unit.of(PROPERTIES[one["property"]], one["shown"])
        value = "no answer" if one["value"] is None else f"{unit.brief(one['value'])} {unit.name}, P = {one['probability']:.2f}"
        lines.append(f"target {one['wanted']}: {value}")
    if row["probability"] is not None:
        lines.append(f"joint probability {row['probability']:.2f}, wanted {row['confidence']:g}")
    lines.append("passes" if row["passes"] else "does not pass; it would take: " + "; ".join(row["change"]))
    return "\n".join(lines)
