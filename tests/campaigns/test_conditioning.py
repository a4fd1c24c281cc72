"""Property values before the descriptors: the bundled generator keeps to them by choice, and to its prompt and seed."""

import json
from pathlib import Path

import numpy as np
import pytest

from campaigns.conditioning import Conditioned, spoken
from campaigns.models import GENERATORS, Cast, generator
from generators.polytao import PolyTAO
from inverse_design.errors import SpecError
from inverse_design.spec import CampaignSpec
from inverse_design.text2text.sampling import Sampling

ESTER = "230,17,0,2,0,0,0,1,0,1,2,0,4,8,1"
BASE = {"schema": 1, "name": "x", "targets": [{"property": "Tg", "min": 3}]}


@pytest.fixture(scope="module")
def model() -> Conditioned:
    return Conditioned.of(PolyTAO.load(GENERATORS["bundled:polytao"]), ("Tg", "bandgap_chain"))


def test_samples_follow_the_values_and_keep_to_the_descriptors(model: Conditioned) -> None:
    seeds = [[1, 2, 3, 4, 5, 6]]
    heard = {tg: model.generate([spoken(np.array([tg, 4.5])) + ESTER], seeds)[0] for tg in (-40.0, 120.0)}
    cold, warm = (model.told(texts)[:, 0] for texts in heard.values())
    assert warm.mean() > cold.mean() + 20
    assert all(model.generator.miss(ESTER, text) <= 1 for texts in heard.values() for text in texts)


def test_the_nearest_of_the_samples_is_given_whatever_else_is_asked_beside_it(model: Conditioned) -> None:
    prompts = [f"60.00,5.00,{ESTER}", f"-20.00,4.00,{ESTER}"]
    both = model.generate(prompts, [[7], [8, 9]])
    assert [model.generate([prompts[1]], [[seed]])[0][0] for seed in (8, 9)] == both[1]
    first = model.generator.generate([ESTER], [[7]])[0]  # the first choice is what the seed gives without values
    wanted = np.array([60.0, 5.0])
    misses = model.misses(model.told([*both[0], *first]), wanted)
    assert misses[0] <= misses[1]


def test_what_nobody_tells_is_the_last_choice(model: Conditioned) -> None:
    misses = model.misses(np.array([[np.nan, np.nan], [100.0, 5.0]]), np.array([50.0, 3.0]))
    # Scales of the properties: 50 degC and 1 eV, one and two of them off.
    assert misses.tolist() == [np.inf, pytest.approx(np.sqrt((1 + 4) / 2))]


def test_a_condition_makes_another_model_of_the_bundled_one_and_none_of_a_fine_tuned_one() -> None:
    plain = CampaignSpec.model_validate(BASE)
    asked = CampaignSpec.model_validate({**BASE, "generator": {"condition": {"Tg": 180, "density": 1.2}}})
    folder = str(GENERATORS["bundled:polytao"])
    own = CampaignSpec.model_validate({**BASE, "generator": {"model": folder, "condition": {"of_mine": 180}}})
    casts = [Cast.of(spec, Path()) for spec in (plain, asked, own)]
    assert casts[0].generator.digest != casts[1].generator.digest
    assert casts[0].generator.digest == casts[2].generator.digest
    assert casts[1].generator_worker(asked).arguments["condition"] == ["Tg", "density"]
    assert "condition" not in casts[2].generator_worker(own).arguments
    json.dumps(casts[1].generator_worker(asked).arguments)


def test_a_value_that_cannot_be_kept_to_is_named() -> None:
    spec = CampaignSpec.model_validate({**BASE, "generator": {"condition": {"Tgg": 180, "bandgap_chain": 4}}})
    with pytest.raises(SpecError, match=r"generator\.condition\.Tgg.*cannot keep to 'Tgg'; did you mean 'Tg'") as caught:
        Cast.of(spec, Path())
    assert "bandgap_chain cannot" not in str(caught.value)


def test_the_worker_gives_what_the_model_gives(model: Conditioned) -> None:
    rows = [{"prompt": f"60.00,5.00,{ESTER}", "seed": seed} for seed in (3, 4)]
    sampling = {"temperature": 1.0, "top_k": 100, "top_p": 0.999}
    worker = generator(str(GENERATORS["bundled:polytao"]), sampling, condition=["Tg", "bandgap_chain"])
    assert model.generator.sampling.top_k == Sampling(**sampling).top_k
    assert [row["text"] for row in worker.work(rows)] == model.generate([rows[0]["prompt"]], [[3, 4]])[0]
