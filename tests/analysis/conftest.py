import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "sample_data" / "figure"))

BACKGROUNDS = {
    "lognormal 0.6": lambda rng, shape: np.exp(rng.normal(np.log(2e-4), 0.6, shape)),
    "lognormal 0.8": lambda rng, shape: np.exp(rng.normal(np.log(2e-4), 0.8, shape)),
    "gamma": lambda rng, shape: rng.gamma(1.2, 2e-4, shape),
    "exponential": lambda rng, shape: rng.exponential(2e-4, shape),
    "Pareto 3": lambda rng, shape: 1.5e-4 * (1 + rng.pareto(3, shape)),
    "lognormal 0.5, higher": lambda rng, shape: np.exp(rng.normal(np.log(3.5e-4), 0.5, shape)),
}
