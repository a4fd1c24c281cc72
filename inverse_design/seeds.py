"""The seed of an address: stateless, so that nothing about randomness need be stored to resume."""

from __future__ import annotations

import numpy as np


def seed(entropy: int, *address: int) -> int:
    """Return a 63-bit seed for an address such as (round, stage, item); equal addresses give equal seeds."""
    sequence = np.random.SeedSequence(entropy=entropy, spawn_key=address)
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def generator(entropy: int, *address: int) -> np.random.Generator:
    """Return the random generator of an address."""
    return np.random.default_rng(np.random.SeedSequence(entropy=entropy, spawn_key=address))
