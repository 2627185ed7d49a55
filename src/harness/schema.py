"""What each setting may be: one line a setting, read before anything heavy is imported. `*` stands for any letters."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import chain
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

LONGEST = 80  # letters of a value that a message quotes


@dataclass(frozen=True)
class Kind:
    """What a setting may be: in words, as a test, and whether it is text, which a shell hands over as it is."""

    words: str
    fits: Callable[[Any], bool]
    text: bool = False
    listed: bool = False

    def __or__(self, other: "Kind") -> "Kind":
        return Kind(
            f"{self.words} or {other.words}",
            lambda value: self.fits(value) or other.fits(value),
            self.text or other.text,
            self.listed or other.listed,
        )


def whole(low: int, high: int | None = None) -> Kind:
    """A whole number from low (to high)."""
    words = f"a whole number from {low}" + (f" to {high}" if high is not None else "")
    most = math.inf if high is None else high
    return Kind(words, lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= most)


def number(low: float = -math.inf, high: float = math.inf, *, above: bool = False, below: bool = False) -> Kind:
    """A finite number in [low, high]; `above` and `below` leave out the ends."""
    if low == -math.inf:
        words = "a number"
    elif high < math.inf:
        words = f"a number in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
    else:
        words = f"a number above {low:g}" if above else f"a number of {low:g} or more"

    def fits(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
            return False
        return low <= value <= high and not (above and value == low) and not (below and value == high)

    return Kind(words, fits)


def choice(*names: str) -> Kind:
    """One of these words."""
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def listed(kind: Kind, least: int = 0) -> Kind:
    """A list, in Hydra's form, of at least `least` of a kind."""
    words = f"a list of {'at least one ' if least else ''}{kind.words}"

    def fits(value: Any) -> bool:
        return isinstance(value, list) and len(value) >= least and all(map(kind.fits, value))

    return Kind(words, fits, kind.text, listed=True)


ANY = Kind("anything", lambda value: True)
NULL = Kind("null", lambda value: value is None)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
TEXT = Kind("text", lambda value: isinstance(value, str), text=True)
GROUP = Kind("a group of settings", lambda value: isinstance(value, dict))
NUMBERS = Kind("list of numbers", listed(number()).fits)
VARIANTS = Kind("null or '${world.augmentation}'", lambda value: value is None or isinstance(value, dict))

COUNT, SEED, SHARE = whole(1), whole(0, 2**32 - 1), number(0, 1)
POSITIVE, NOT_NEGATIVE = number(0, above=True), number(0)
WEIGHT = number() | Kind("the name of a weight in guidance", lambda value: isinstance(value, str))
ROW = {"prompt": TEXT, "weight": WEIGHT, "faded": FLAG}
ROWS = listed(
    Kind("{prompt, weight}", lambda v: isinstance(v, dict) and all(n in ROW and ROW[n].fits(x) for n, x in v.items()))
)
SAMPLER = {
    "steps": COUNT,
    "fusion_steps": whole(0),
    "fusion_eta": SHARE,
    "eta": SHARE,
    "gamma": SHARE,
    "blend": choice("position", "interpolate"),
    "generic": TEXT,
    "guidance": GROUP,
    "guidance.*": number(),
    "joint": ROWS,
    "separate": ROWS,
    "opening": ROWS,
    "opening_share": SHARE,
    "batch": COUNT | NULL,
}
# where settings of a sampler stand
SAMPLERS = ("sampler", "preview", "embedded.sampler", "bench_gpu:samplers.*", "build_tiny_world:samplers.*")
PATHS = TEXT | listed(TEXT, 1)
DEVICE = Kind(
    "auto, cpu, cuda, cuda:N or mps",
    lambda value: isinstance(value, str) and bool(re.fullmatch(r"auto|cpu|mps|(cuda|gpu)(:\d+)?", value)),
)
STAGES = ("unpack", "vae", "pictures", "base", "vision", "export", "judges", "promptnet", "gates", "look", "all")

# the first line that fits holds; "command:setting" is a line for one command alone
SETTINGS: dict[str, Kind] = {
    "*_target_": TEXT,
    "*_partial_": FLAG,
    **{f"{place}.{name}": kind for place in SAMPLERS for name, kind in SAMPLER.items()},
    "bench_judge:images": COUNT,
    "bench_train:cache": FLAG,
    "bench_train:steps": COUNT,
    "build_tiny_world:steps": GROUP,
    "build_tiny_world:minutes": number(0, above=True) | NULL,
    "build_tiny_world:unpack": listed(choice("vae", "vision", "base")),
    "build_tiny_world:pictures": GROUP,
    "build_tiny_world:pictures.*": COUNT,
    "build_tiny_world:check_names": FLAG,
    "build_tiny_world:photos": COUNT,
    "build_tiny_world:batch": GROUP,
    "build_tiny_world:batch.*": COUNT,
    "build_tiny_world:lr": GROUP,
    "build_tiny_world:lr.*": POSITIVE,
    "build_tiny_world:mirror": choice("offline", "online", "disabled"),
    "build_tiny_world:looked_at": COUNT,
    "build_tiny_world:samplers*": GROUP,
    "bench_gpu:samplers*": GROUP,
    "bench_gpu:only": listed(choice("same", "pretrain", "finetune", "sample")),
    "bench_gpu:limit_s": POSITIVE,
    "bench_gpu:seconds": GROUP,
    "bench_gpu:seconds.*": POSITIVE,
    "bench_gpu:photos": COUNT,
    "bench_gpu:steps": COUNT,
    "bench_gpu:batches": listed(COUNT, 1),
    "bench_gpu:pretrain": GROUP,
    "bench_gpu:pretrain.steps": COUNT,
    "bench_gpu:pretrain.*": ANY,
    "bench_gpu:embedded.finetune.steps": COUNT,
    "bench_gpu:embedded.finetune.batch": COUNT,
    "bench_gpu:embedded.finetune.lr": POSITIVE,
    "bench_gpu:embedded.seeds": listed(whole(0), 1),
    "bench_gpu:embedded.photo": TEXT,
    "bench_gpu:embedded.prompt": TEXT,
    "bench_gpu:embedded.generic": TEXT,
    "personalise:people": listed(whole(0)) | NULL,
    "personalise:prompts": PATHS,
    # where networks run, and how
    "device": DEVICE,
    "tf32": FLAG,
    "compile": FLAG,
    "offload": FLAG,
    "trainer.accelerator": DEVICE,
    "trainer.minutes": number(0, above=True) | NULL,
    "method.finetune.gradient_checkpointing": FLAG,
    # how much of what
    "people": COUNT,
    "prompts": COUNT,
    "seeds": COUNT,
    "seed": SEED,
    "batch": COUNT,
    "threads": COUNT,
    "size": COUNT,
    "pixels": COUNT,
    "early_steps": COUNT,
    "further_steps": COUNT,
    "steps.*": COUNT,
    "timestep": whole(0, 999),
    "penalties": listed(NOT_NEGATIVE, 1),
    # a kit and its ratings
    "raters": COUNT,
    "items": COUNT | NULL,
    "per_sheet": COUNT,
    "checks": COUNT,
    "pass_rate": SHARE,
    "at_least": whole(0),
    "questions": GROUP,
    "questions.*": TEXT,
    "noun": TEXT,
    "image_base": TEXT | NULL,
    "kit": TEXT | NULL,
    # folders, files, names and prompts
    "runs": TEXT,
    "photo": PATHS,
    "photos": TEXT | NULL,
    "images": TEXT | NULL,
    "manifest": TEXT | NULL,
    "real": TEXT | NULL,
    "anchors": GROUP,
    "anchors.*": TEXT | NULL,
    "run": TEXT,
    "out": TEXT,
    "folder": TEXT,
    "cache": TEXT,
    "experiments": TEXT,
    "prompt": TEXT,
    "generic": TEXT,
    "system": TEXT,
    "compared": listed(TEXT),
    "words": listed(TEXT),
    "names": listed(TEXT) | NULL,
    "name": TEXT,
    "reference": TEXT | NULL,
    "only": TEXT | listed(TEXT) | NULL,
    "overrides": listed(TEXT) | NULL,
    "samplers": GROUP,
    "samplers.*": listed(TEXT),
    "published": GROUP | NULL,
    "published.*": number() | NULL | GROUP,
    "prompt_set": GROUP,
    "prompt_set.*": listed(TEXT),
    "people_set": GROUP,
    "people_set.*": TEXT,
    # what to do
    "shards": FLAG,
    "latents": FLAG,
    "show": FLAG,
    "record": FLAG,
    "resume": FLAG,
    "preflight_only": FLAG,
    "missing": choice("error", "leave_out"),
    "mode": choice("offline", "online"),
    "stage": choice(*STAGES),
    "faces": GROUP,
    "faces.none": choice("zero", "excluded"),
    "faces.several": choice("largest", "zero", "excluded"),
    # Weights & Biases
    "logger": GROUP,
    "logger.mode": choice("offline", "online", "disabled"),
    "logger.log_*": FLAG,
    "logger.project": TEXT,
    "logger.entity": TEXT | NULL,
    "project": TEXT,
    "entity": TEXT | NULL,
    "group": TEXT | NULL,
    "tags": listed(TEXT),
    "scores": listed(TEXT),
    # how a person is learned and drawn
    "method": GROUP,
    "method.shares": NUMBERS | NULL,
    "method.finetune": GROUP | NULL,
    "method.finetune.steps": COUNT,
    "method.finetune.batch": COUNT,
    "method.finetune.lr": POSITIVE,
    "method.finetune.weight_decay": NOT_NEGATIVE,
    "method.finetune.prompt": TEXT,
    "method.finetune.seed": SEED,
    "*low_third": SHARE,
    "sampler": GROUP,
    "preview": GROUP | NULL,
    "augmentation": VARIANTS,
    "*augment.count": COUNT,
    "*augment.batch": COUNT,
    "*augment.seed": SEED,
    "*augment.prompts": listed(TEXT, 1),
    "*inpainter.steps": COUNT,
    "*inpainter.guidance": number(),
    "*folder_or_hub_id": TEXT,
    "*mask.*": TEXT,
    "augmentation.*": GROUP,
    # the world and its parts
    "world": GROUP,
    "world.weights": TEXT | NULL,
    "world.needs": listed(GROUP),
    "world.text_towers": listed(TEXT),
    "world.reference.photos": COUNT,
    "world.reference.size": COUNT,
    "world.reference.folder": TEXT,
    "world.oracle": GROUP | NULL,
    "world.stranger": GROUP | NULL,
    "world.reference": GROUP,
    "world.augmentation*": GROUP,
    "world.*": TEXT,
    "base": GROUP,
    "base.image_encoder": TEXT | NULL | GROUP,
    "base.dtype": choice("float32", "float16", "bfloat16", "float64"),
    "base.seed": SEED,
    "base.pad_token": TEXT,
    "bench_gpu:embedded*": ANY,  # the embedded world's own parts
    "base.*": ANY,  # the architecture of one with random weights, in the words of its libraries
    "*promptnet": GROUP,
    "*promptnet.folder": TEXT,
    "*promptnet.pseudo_channels": COUNT,
    "*promptnet.region_kernel": COUNT | NULL,
    "judges": GROUP,
    "judges.insightface": TEXT,
    "judges.not_comparable": GROUP,
    "judges.selecting": listed(TEXT),
    "judges.*.input_mean": number(),
    "judges.*.input_std": POSITIVE,
    "judges.*.min_confidence": number(),
    "judges.*.threads": COUNT,
    "judges.*.colours": choice("rgb", "bgr"),
    "judges.*.providers": listed(TEXT, 1),
    "judges.*.*.*": TEXT | NULL,
    "judges.not_comparable.*": TEXT,
    "judges.*": GROUP,
    "data": GROUP,
    "data.total_batch": COUNT,
    "data.batch": COUNT,
    "data.seed": SEED,
    "data.workers": whole(0),
    "data.*.size": COUNT,
    "data.*.count": COUNT | NULL,
    "data.*.part": choice("all", "train", "validation"),
    "data.*.held_out": number(0, 1, above=True, below=True),
    "data.*.max_bad": SHARE,
    "data.*.folder": TEXT,
    "data.*.indexes": TEXT | NULL,
    "data.*.split": TEXT,
    "data.*": GROUP,
    # how PromptNet is trained
    "learning": GROUP,
    "learning.prompt": TEXT,
    "learning.penalty": NOT_NEGATIVE,
    "learning.gradient_checkpointing": FLAG,
    "learning.optimizer": GROUP,
    "learning.optimizer.lr": POSITIVE,
    "learning.optimizer.weight_decay": NOT_NEGATIVE,
    "learning.optimizer.betas": listed(number(0, 1, below=True)),
    "learning.optimizer.*": ANY,  # of whichever optimiser
    "learning.scheduler": GROUP | NULL,
    "learning.scheduler.*": ANY,
    "trainer": GROUP,
    "trainer.ema": number(0, 1, below=True) | NULL,
    "trainer.gradient_clip": NOT_NEGATIVE | NULL,
    "trainer.precision": choice("32-true", "bf16-mixed", "64-true"),
    "trainer.*": COUNT,
    # studies: which settings they change is looked up by name (see `_changes`)
    "ablation": GROUP,
    "ablation.change*": ANY,
    "ablation.fresh_noise": whole(0),
    "ablation.*": TEXT,
    "sweep": GROUP,
    "sweep.values": listed(ANY, 1),
    "sweep.lines*": ANY,
    "sweep.*": TEXT,
    "grid": GROUP,
    "grid.*": listed(ANY, 1),
    "claim*": ANY,
}


@cache
def kind_of(name: str, command: str = "") -> Kind | None:
    """The line of a setting, by its dotted name; None where there is none."""
    for pattern, kind in SETTINGS.items():
        own, _, rest = pattern.rpartition(":")
        if (not own or own == command) and fnmatchcase(name, rest):
            return kind
    return None


def check(cfg: DictConfig, command: str) -> None:
    """Every setting of a command, and every value that a study gives to one, is of its kind and in its range.

    Raises:
        ValueError: naming the first setting that is not, its value, and what is allowed.
    """
    settings = _resolved(cfg)
    for name, value in chain(_flat(settings, command), _changes(settings)):
        check_value(name, value, command)


def _resolved(node: DictConfig) -> dict[Any, Any]:
    """Plain data, without what refers to a setting that is not there: whoever reads that says so."""
    found = {}
    for key in node:
        try:
            value = MISSING if OmegaConf.is_missing(node, key) else node[key]
            plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_list(value) else value
            found[key] = _resolved(value) if isinstance(value, DictConfig) else plain
        except InterpolationResolutionError:
            continue
    return found


def check_value(name: str, value: Any, command: str = "") -> None:
    """ValueError unless the value is one that this setting may have."""
    kind = kind_of(name, command)
    if kind is not None and not kind.fits(value):
        raise ValueError(f"{name} ({shown(value)}) must be {kind.words}")


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    text = "null" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _flat(node: Mapping[Any, Any], command: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values, groups before what is in them and behind plain settings, which groups refer to."""
    for key, value in sorted(node.items(), key=lambda item: isinstance(item[1], dict)):
        name = f"{prefix}{key}"
        yield name, value
        if isinstance(value, dict) and kind_of(name, command) is not ANY:
            yield from _flat(value, command, f"{name}.")


def _changes(settings: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """What ablations, sweeps and grids give to settings of other names."""
    sweep, ablation = settings.get("sweep"), settings.get("ablation")
    if isinstance(ablation, dict) and isinstance(ablation.get("change"), dict):
        yield from ablation["change"].items()
    if isinstance(sweep, dict):
        yield from ((str(sweep["setting"]), value) for value in sweep["values"])
        for line in sweep["lines"].values() if isinstance(sweep["lines"], dict) else ():
            yield from line.items() if isinstance(line, dict) else ()
    for name, values in (settings.get("grid") or {}).items():
        yield from ((str(name), value) for value in values)
