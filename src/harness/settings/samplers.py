"""What each setting of a sampler may be, and where these stand."""

from collections.abc import Sequence

from src.harness.settings.kinds import (
    COUNT,
    FLAG,
    GROUP,
    NULL,
    SHARE,
    TEXT,
    WEIGHT,
    WORDS,
    Kind,
    choice,
    listed,
    number,
    whole,
)

Lines = Sequence[tuple[str, Kind]]

ROW = {"prompt": TEXT, "weight": WEIGHT, "faded": FLAG}
ROWS = listed(
    Kind("{prompt, weight}", lambda v: isinstance(v, dict) and all(n in ROW and ROW[n].fits(x) for n, x in v.items()))
)
SAMPLER: Lines = [
    ("steps", COUNT),
    ("fusion_steps", whole(0)),
    ("fusion_eta eta gamma opening_share closing_share", SHARE),
    ("blend", choice("position", "interpolate")),
    ("generic", WORDS),
    ("guidance", GROUP),
    ("guidance.*", number()),
    ("joint separate opening closing", ROWS),
    ("batch", COUNT | NULL),
    ("shortcuts", GROUP),
    ("shortcuts.fusion_interval", listed(SHARE, 2)),
    ("shortcuts.fusion_every shortcuts.guidance_every shortcuts.deep_every", COUNT),
    ("shortcuts.word_every", COUNT | NULL),
    ("shortcuts.fusion_eps", choice("own", "previous")),
    ("shortcuts.solver", choice("ddim", "dpmpp_2m")),
    ("shortcuts.precision", choice("bfloat16") | NULL),
]
# where settings of a sampler stand
SAMPLERS = (
    "sampler",
    "preview",
    "embedded.sampler",
    "bench_gpu:samplers.*",
    "bench_gpu:cheaper.*",
    "bench_growth:samplers.*",
    "bench_growth:paper.samplers.*",
    "build_tiny_world:samplers.*",
)
