from __future__ import annotations

import base64
import copy
import hashlib
import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from campaigns.figures import boxes, scatter
from campaigns.report import render
from inverse_design.drawing import bracketed
from inverse_design.properties import PROPERTIES
from inverse_design.units import Unit

CELSIUS, BARRER = Unit.of(PROPERTIES["Tg"]), Unit.of(PROPERTIES["permeability_O2"], "Barrer")
UNITS = [
    "*c1ccc(Oc2ccc(N3C(=O)c4ccc(-c5ccc6c(c5)C(=O)N(*)C6=O)cc4C3=O)cc2)cc1",
    "*c1ccc(-c2ccc(N3C(=O)c4ccc(C(c5ccc6c(c5)C(=O)N(*)C6=O)(C(F)(F)F)C(F)(F)F)cc4C3=O)cc2C(F)(F)F)c(C(F)(F)F)c1",
    "*Oc1ccc(-n2c(=O)c3cc4c(=O)n(-c5ccc(*)cc5)c(=O)c4cc3c2=O)cc1",
    "*c1cc(C)c(N2C(=O)C3C4C=CC(C3C2=O)C2C(=O)N(*)C(=O)C42)cc1C",
    "*CC(*)(C)C(=O)OCCC[Si](C)(C)C",
]


def candidate(rank: int, psmiles: str) -> dict[str, Any]:
    tg, gap = 391.4 - 17 * rank, 4.1 - 0.23 * rank
    return {
        "rank": rank,
        "id": f"{rank:016x}",
        "psmiles": psmiles,
        "canonical_psmiles": psmiles,
        "polymer_class": "polyimide",
        "tg_degc": tg,
        "tg_degc_low80": tg - 28,
        "tg_degc_high80": tg + 28,
        "tg_degc_std": 21.8,
        "tg_degc_in_domain": rank != 4,
        "bandgap_chain_ev": gap,
        "bandgap_chain_ev_low80": gap - 0.4,
        "bandgap_chain_ev_high80": gap + 0.4,
        "bandgap_chain_ev_std": 0.31,
        "bandgap_chain_ev_in_domain": True,
        "probability": 0.93 - 0.13 * rank,
        "feasible": rank < 4,
        "violation": 0.0,
        "similarity": 0.61 + 0.04 * rank,
        "nearest": "1f0c2a77b1d0e3a4",
        "like": "Kapton",
        "like_similarity": 0.41,
        "sa_score_h": 2.4 + 0.3 * rank,
        "prompt": "416,32,0,6,0,2,2,4,0,4,4,0,8,2,6",
        "round": rank,
        "makeable": rank != 5,
        "route": None if rank == 5 else "polyimide from dianhydride and diamine",
        "monomers": None if rank == 5 else "NCCN.O=C1OC(=O)C2C1C1C2C(=O)OC1=O",
        "monomer_sa_score": None if rank == 5 else 2.0 + rank,
        "warnings": "hydrolysis: acetal" if rank == 2 else "",
    }


@pytest.fixture
def context() -> dict[str, Any]:
    rounds = [
        {"round": index, "samples": 384, "valid": 360 + index, "accepted": 150 + 9 * index, "passing": 2 + 3 * index}
        for index in range(12)
    ]
    return {
        "schema_version": 1,
        "name": "heat-resistant-film",
        "verdict": {
            "met": True,
            "reason": "met",
            "sentence": "25 distinct novel candidates meet the spec with probability >= 0.6",
        },
        "budget": {"rounds": 12, "rounds_limit": 20, "samples": 4608, "samples_limit": 20000, "hours": 1.73, "hours_limit": None},
        "passing": 25,
        "wanted": 25,
        "confidence": 0.6,
        "targets": [
            {
                "property": "Tg",
                "wanted": "Tg >= 350 degC",
                "unit": "degC",
                "shown": "degC",
                "column": "tg_degc",
                "low": 350.0,
                "high": None,
                "sign": 1,
            },
            {
                "property": "bandgap_chain",
                "wanted": "3 <= bandgap_chain <= 5 eV",
                "unit": "eV",
                "shown": "eV",
                "column": "bandgap_chain_ev",
                "low": 3.0,
                "high": 5.0,
                "sign": -1,
            },
        ],
        "candidates": [candidate(rank, psmiles) for rank, psmiles in enumerate(UNITS, 1)],
        "rounds": rounds,
        "rejections": {
            "accepted": 2400,
            "known": 412,
            "structure:class:polyester": 611,
            "invalid:unparsable": 96,
            "too_similar": 120,
        },
        "models": {"bundled:polytao": "sha256:5c1e" + 56 * "0", "bundled:polync": "sha256:77ab" + 56 * "1"},
        "versions": {"inverse-design": "0.1.0", "rdkit": "2026.9.1"},
        "seed": 7,
        "scored": 1234,
        "spread": {
            "Tg": [
                {"round": index, "count": 30, "quantiles": [100 + 20 * index + 30 * q for q in range(5)]} for index in range(12)
            ],
            "bandgap_chain": [],
        },
        "prompts": {
            "strategy": "feasible-yield",
            "heaviest": [{"prompt": "416,32,0,6,0,2,2,4,0,4,4,0,8,2,6", "weight": 0.086, "draws": 2}],
            "means": [{"round": 0, "numbers": [401.25] * 15}, {"round": 11, "numbers": [433.75] * 15}],
        },
        "doubts": [
            {
                "property": "Tg",
                "unit": CELSIUS,
                "inside": 0.27,
                "half": 46.9,
                "both": 864,
                "apart": 19.2,
                "held_out": {"n": 379, "mae": 21.2, "coverage": 0.78},
            },
            {
                "property": "bandgap_chain",
                "unit": Unit.of(PROPERTIES["bandgap_chain"]),
                "inside": None,
                "half": None,
                "both": 0,
                "apart": None,
                "held_out": None,
            },
        ],
        "adherence": [
            {"descriptor": "MolWt", "samples": 4321, "exact": 0.03, "bias": 8.08, "mae": 54.1, "correlation": 0.85},
            {"descriptor": "RingCount", "samples": 4321, "exact": 0.62, "bias": -0.15, "mae": 0.45, "correlation": None},
        ],
        "laboratory": [],
        "spec": "schema: 1\nname: heat-resistant-film\ntargets:\n  - {property: Tg, min: 350, unit: degC}\n",
    }


class Tags(HTMLParser):
    """Collects tags and what they point to; knows whether every tag was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_whole_and_needs_nothing_from_elsewhere(context: dict[str, Any]) -> None:
    text = render(context)
    tags = Tags(text)
    assert tags.open == []
    assert tags.names.count("script") == 1
    (script,) = re.findall(r"<script>(.*)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text  # nothing else may run
    assert not {"link", "iframe", "img", "object", "form", "base"} & set(tags.names)
    assert "default-src 'none'" in text
    outside = [
        value for name, value in tags.attributes if name in {"href", "src", "action"} or (value and value.startswith("http"))
    ]
    assert all(
        value in {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink", "http://www.rdkit.org/xml"}
        or (value or "").startswith("#")
        for value in outside
    )
    ids = {value for name, value in tags.attributes if name == "id"}
    assert {value[1:] for name, value in tags.attributes if name == "href" and value} <= ids
    assert not any(name.startswith("on") for name, _ in tags.attributes)
    assert "url(" not in text
    assert "@import" not in text


def test_it_says_what_was_found(context: dict[str, Any]) -> None:
    text = render(context)
    for words in (
        "Targets met",
        "25 distinct novel candidates",
        "Tg ≥ 350 °C",
        "374",
        "346 to 402",
        "4,608",
        "of 20,000 texts",
        "25 wanted",
        "polyimide",
        "pass",
    ):
        assert words in text, words
    assert text.count('tag yes">passes</span>') == 3
    assert text.count('tag no">does not pass</span>') == 2
    assert text.count("outside the training domain") == 1
    for words in (
        "of 1,234 scored",
        "polyimide from dianhydride",
        "none of the known polymerisations",
        "hydrolysis: acetal",
        "19.2 °C",
        "80 % intervals hold 78 % of 379",
        "no figures for these models",
        "Kapton",
        "4,321 valid texts",
        "−0.15",
        "433.8",
    ):
        assert words in text, words
    reasons = ("another class: polyester", "known already", "too much like a known polymer", "no repeat unit: not SMILES")
    assert [text.index(reason) for reason in reasons] == sorted(text.index(reason) for reason in reasons)
    assert "accepted</" not in text
    assert "schema: 1" in text
    assert "5c1e" in text


def test_the_same_context_gives_the_same_text(context: dict[str, Any]) -> None:
    assert render(context) == render(copy.deepcopy(context))


@pytest.mark.parametrize(
    "attack", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</pre></style><svg onload=alert(1)>", "{{ 7*7 }}"]
)
def test_text_from_outside_is_shown_and_never_run(context: dict[str, Any], attack: str) -> None:
    calm = Tags(render(context)).names
    for place in ("name", "spec"):
        context[place] = attack
    context["verdict"]["sentence"] = attack
    context["rejections"][attack] = 3
    context["models"][attack] = attack
    context["candidates"][0] |= {
        "prompt": attack,
        "nearest": attack,
        "like": attack,
        "polymer_class": attack,
        "route": attack,
        "monomers": attack,
        "warnings": attack,
    }
    text = render(context)
    assert text.count("<script") == 1
    assert "49" not in re.findall(r"<h1>(.*)</h1>", text)
    tags = Tags(text)
    assert tags.names.count("img") == 0
    assert sorted(set(tags.names)) == sorted(set(calm))
    assert not any(name.startswith("on") for name, _ in tags.attributes)


def test_a_campaign_that_has_found_nothing(context: dict[str, Any]) -> None:
    context |= {"verdict": None, "candidates": [], "rounds": [], "rejections": {}, "passing": 0, "adherence": []}
    context["prompts"] = {"strategy": "", "heaviest": [], "means": []}
    context["spread"] = {"Tg": [], "bandgap_chain": []}
    text = render(context)
    assert "Not finished" in text
    assert "No generated text has passed" in text
    assert "No round is finished yet" in text
    assert Tags(text).open == []


@pytest.mark.parametrize("reason", ["met", "budget", "exhausted", "infeasible", "collapse"])
def test_every_verdict_has_a_headline(context: dict[str, Any], reason: str) -> None:
    context["verdict"]["reason"] = reason
    assert 'class="state"' in render(context)


def test_what_was_measured_is_called_measured(context: dict[str, Any]) -> None:
    assert " measured</small>" not in render(context)
    context["candidates"][0]["tg_degc_measured"] = 352.0
    assert render(context).count(" measured</small>") == 1


def test_the_repeat_unit_stands_in_brackets() -> None:
    drawn = bracketed("*CC(*)c1ccccc1")
    assert drawn.count('class="bracket"') == 2
    assert drawn.count(">n</text>") == 1
    assert "*" not in drawn
    assert drawn.startswith("<svg ")
    assert drawn.endswith("</svg>")


def test_two_hundred_candidates_make_no_more_than_five_megabytes(context: dict[str, Any]) -> None:
    context["candidates"] = [candidate(1 + rank % 5, UNITS[rank % 5]) | {"rank": rank} for rank in range(200)]
    assert len(render(context).encode()) < 5_000_000


def test_a_pareto_front_holds_what_nothing_beats() -> None:
    rows = [{"rank": n, "a": a, "b": b, "feasible": True} for n, (a, b) in enumerate([(1, 4), (2, 3), (2, 2), (3, 1), (1, 1)])]
    target = {"low": None, "high": None}
    drawn = scatter(rows, ({"column": "a", "sign": 1} | target, CELSIUS), ({"column": "b", "sign": 1} | target, CELSIUS))
    assert drawn is not None
    assert {point["rank"] for point in drawn["front"]} == {0, 1, 3}
    # A bound has a better side too: at most 2 of `a`, and as much of `b` as there is.
    bounded = {"column": "a", "sign": 0, "low": None, "high": 2.0}
    drawn = scatter(rows, (bounded, CELSIUS), ({"column": "b", "sign": 1} | target, CELSIUS))
    assert drawn is not None
    assert {point["rank"] for point in drawn["front"]} == {0}
    # In a window neither side is better.
    drawn = scatter(rows, (bounded | {"low": 1.0}, CELSIUS), ({"column": "b", "sign": 1} | target, CELSIUS))
    assert drawn is not None
    assert drawn["front"] == []


def test_what_the_laboratory_said_stands_beside_what_was_predicted(context: dict[str, Any]) -> None:
    assert "What the laboratory said" not in render(context)
    pair = {"psmiles": "*CC*", "predicted": 100.0, "half": 20.0, "measured": 131.0, "inside": False}
    context["laboratory"] = [
        {"property": "Tg", "unit": CELSIUS, "pairs": [pair], "inside": 0, "before": None, "after": None},
    ]
    text = render(context)
    assert "0 of 1 measured values lie within" in text
    assert "Too few to correct predictions" in text
    context["laboratory"][0] |= {"before": 31.0, "after": 12.5}
    assert "the error goes from 31 °C to 12.5 °C" in render(context)


def test_a_report_speaks_in_the_units_of_the_spec(context: dict[str, Any]) -> None:
    gap, tg = context["targets"][1], context["targets"][0]
    context["targets"][0] = tg | {"wanted": "Tg >= 623.15 K", "shown": "K"}
    context["targets"][1] = gap | {"wanted": "3000 <= bandgap_chain <= 5000 meV", "shown": "meV"}
    kelvin = Unit.of(PROPERTIES["Tg"], "K")
    context["doubts"][0] |= {"unit": kelvin, "half": 31.0}
    pair = {"psmiles": "*CC*", "predicted": 100.0, "half": 20.0, "measured": 131.0, "inside": False}
    context["laboratory"] = [{"property": "Tg", "unit": kelvin, "pairs": [pair], "inside": 0, "before": None, "after": None}]
    text = render(context)
    assert "Tg \u2265 623.15 K" in text
    assert f"80 % interval {391.4 - 17 - 28 + 273.15:.0f} to {391.4 - 17 + 28 + 273.15:.0f}" in text
    assert f"80 % interval {1000 * (4.1 - 0.23 - 0.4):.0f} to {1000 * (4.1 - 0.23 + 0.4):.0f}" in text
    assert "<td>31 K</td>" in text
    assert "373 \u00b1 20" in text
    assert "<h3>bandgap chain (DFT) / meV against Tg / K</h3>" in text
    assert {"700", "640"} <= set(re.findall(r">(\d+)</text>", text))  # ticks in kelvin, of the rounds and of the candidates


@pytest.mark.parametrize(
    ("spread", "ticks"),
    [
        ((-1.0, 2.0), ["0.1", "0.3", "1", "3", "10", "30", "100"]),
        ((-2.0, 4.0), ["0.01", "0.1", "1", "10", "100", "1000", "10000"]),
        ((0.1, 1.5), ["2", "5", "10", "20"]),
        ((1.9, 2.3), ["100", "150", "200"]),
    ],
)
def test_ticks_of_logarithms_are_round_numbers_of_what_people_say(spread: tuple[float, float], ticks: list[str]) -> None:
    low, high = spread
    drawn = boxes([{"round": 0, "count": 9, "quantiles": [low, low, low, high, high]}], None, None, BARRER)
    assert drawn is not None
    assert [tick["text"] for tick in drawn["ticks"]] == ticks
    places = {float(tick["text"]): tick["at"] for tick in drawn["ticks"]}
    first, last = min(places), max(places)
    # Evenly by the logarithm, whatever was rounded.
    for value, place in places.items():
        share = math.log(value / first) / math.log(last / first)
        assert place == pytest.approx(places[first] + share * (places[last] - places[first]), abs=0.2)
