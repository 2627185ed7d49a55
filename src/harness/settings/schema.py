"""What each setting may be: a line names settings of one kind. `*` stands for any letters, the first line that fits
holds."""

from fnmatch import fnmatchcase
from functools import cache

from src.harness.settings.kinds import (
    ANY,
    COUNT,
    DEVICE,
    FLAG,
    GROUP,
    NOT_NEGATIVE,
    NULL,
    NUMBERS,
    PATHS,
    POSITIVE,
    PROMPT,
    SEED,
    SHARE,
    TEXT,
    VARIANTS,
    WORDS,
    Kind,
    choice,
    listed,
    number,
    whole,
)
from src.harness.settings.samplers import SAMPLER, SAMPLERS, Lines

STAGES = ("unpack", "vae", "pictures", "base", "vision", "export", "judges", "promptnet", "e4t", "gates", "look", "all")
# what a setting is in one command alone
COMMANDS: dict[str, Lines] = {
    "compare_methods": [("methods samplers", GROUP), ("methods.* samplers.*", listed(TEXT) | NULL), ("shown", COUNT)],
    "bench_finetune": [("methods", GROUP), ("methods.*", listed(TEXT) | NULL), ("repeats", COUNT)],
    "bench_judge": [("images", COUNT)],
    "bench_sample": [
        ("samplers", GROUP),
        ("samplers.*", listed(TEXT) | NULL),
        ("fewer", listed(TEXT)),
        ("reference", TEXT),
        ("steps", listed(COUNT)),
        ("timed repeats", COUNT),
    ],
    "bench_growth": [
        ("samplers* paper paper.samplers* axes", GROUP),
        ("paper.base*", ANY),
        ("axes.*", listed(COUNT, 1)),
        ("images steps learning_steps repeats paper.steps", COUNT),
        ("cards", listed(TEXT)),
        ("share", SHARE),
    ],
    "bench_train": [("cache", FLAG), ("steps", COUNT)],
    "bench_gpu": [
        ("samplers* cheaper cheaper.* seconds pretrain", GROUP),
        ("fewer", listed(COUNT)),
        ("only", listed(choice("same", "pretrain", "finetune", "sample"))),
        ("limit_s seconds.* embedded.finetune.lr", POSITIVE),
        ("photos steps pretrain.steps embedded.finetune.steps embedded.finetune.batch", COUNT),
        ("batches", listed(COUNT, 1)),
        ("pretrain.*", ANY),
        ("embedded.seeds", listed(whole(0), 1)),
        ("embedded.photo embedded.prompt embedded.generic", TEXT),
    ],
    "build_tiny_world": [
        ("samplers* steps pictures batch lr", GROUP),
        ("photos looked_at pictures.* batch.*", COUNT),
        ("lr.*", POSITIVE),
        ("minutes", POSITIVE | NULL),
        ("unpack", listed(choice("vae", "vision", "base"))),
        ("check_names", FLAG),
        ("mirror", choice("offline", "online", "disabled")),
    ],
    "personalise": [("people", listed(whole(0)) | NULL), ("prompts", PATHS)],
}
LINES: Lines = [
    # where networks run, and how
    ("device trainer.accelerator", DEVICE),
    ("tf32 compile offload method*.gradient_checkpointing method.text_encoder", FLAG),
    ("trainer.minutes", POSITIVE | NULL),
    ("workers", choice("auto") | COUNT),
    # how much of what
    ("people prompts seeds batch threads size pixels further_steps steps.*", COUNT),
    ("early_steps", COUNT | NULL),
    ("passing", listed(COUNT)),
    ("seed", SEED),
    ("timestep", whole(0, 999)),
    ("penalties", listed(NOT_NEGATIVE, 1)),
    # a kit and its ratings
    ("raters per_sheet checks", COUNT),
    ("items", COUNT | NULL),
    ("pass_rate", SHARE),
    ("at_least", whole(0)),
    ("questions", GROUP),
    ("questions.* noun", TEXT),
    ("image_base kit", TEXT | NULL),
    # folders, files, names and prompts
    ("runs run out folder cache experiments", TEXT),
    ("prompt generic system name", WORDS),
    ("photo", PATHS),
    ("photos images manifest real anchors.* reference", TEXT | NULL),
    ("anchors samplers prompt_set people_set", GROUP),
    ("compared words samplers.* prompt_set.*", listed(TEXT)),
    ("names overrides planning.overrides", listed(TEXT) | NULL),
    ("planning", GROUP),
    ("planning.*", COUNT),
    ("only", TEXT | listed(TEXT) | NULL),
    ("published", GROUP | NULL),
    ("published.*", number() | NULL | GROUP),
    ("people_set.split", WORDS),
    ("people_set.*", TEXT),
    # what to do
    ("shards latents show plan record resume preflight_only", FLAG),
    ("missing", choice("error", "leave_out")),
    ("mode", choice("offline", "online")),
    ("stage", choice(*STAGES)),
    ("faces", GROUP),
    ("faces.none", choice("zero", "excluded")),
    ("faces.several", choice("largest", "zero", "excluded")),
    # Weights & Biases
    ("logger", GROUP),
    ("logger.mode", choice("offline", "online", "disabled")),
    ("logger.log_*", FLAG),
    ("logger.project project", TEXT),
    ("logger.entity entity group", TEXT | NULL),
    ("tags scores", listed(TEXT)),
    # how a person is learned and drawn
    ("method sampler", GROUP),
    ("method.shares", NUMBERS | NULL),
    ("method.finetune method.class_images preview", GROUP | NULL),
    ("method*.steps method*.batch method.words method.class_images.number", COUNT),
    ("method.rank", whole(1, 1024) | NULL),
    ("method*.lr", POSITIVE),
    ("method*.weight_decay method.finetune.penalty method.prior", NOT_NEGATIVE),
    ("method.e4t", GROUP),
    ("method.e4t.trained_by", WORDS),
    ("method.e4t.*", TEXT),
    ("method.class_images.guidance", NOT_NEGATIVE),
    ("method*.prompt", PROMPT),
    ("method.initial method.identifier method.noun", WORDS),
    ("method*.seed", SEED),
    ("method.templates", listed(WORDS)),
    ("method.embedding method.lora", TEXT | NULL),
    ("*low_third", SHARE),
    ("augmentation", VARIANTS),
    ("*augment.count *augment.batch *inpainter.steps", COUNT),
    ("*augment.seed", SEED),
    ("*augment.translation", SHARE),
    ("*augment.scale", listed(POSITIVE, 1)),
    ("*augment.prompts", listed(WORDS, 1)),
    ("*inpainter.guidance", number()),
    ("*folder_or_hub_id *mask.*", TEXT),
    ("augmentation.*", GROUP),
    # the world and its parts
    ("world world.reference world.augmentation*", GROUP),
    ("world.weights", TEXT | NULL),
    ("world.needs", listed(GROUP)),
    ("world.text_towers", listed(TEXT)),
    ("world.reference.photos world.reference.size", COUNT),
    ("world.oracle world.stranger", GROUP | NULL),
    ("world.*", TEXT),
    ("base *promptnet learning.net learning.predict", GROUP),
    ("base.image_encoder", TEXT | NULL | GROUP),
    ("base.dtype", choice("float32", "float16", "bfloat16", "float64")),
    ("base.seed", SEED),
    ("base.pad_token learning.net.noun", WORDS),
    ("*promptnet.folder learning.net.folder", TEXT),
    ("bench_gpu:embedded*", ANY),  # the embedded world's own parts
    ("base.*", ANY),  # the architecture of one with random weights, in the words of its libraries
    ("*promptnet.pseudo_channels learning.net.pseudo_channels learning.net.width", COUNT),
    ("learning.net.scale", POSITIVE),
    ("*promptnet.region_kernel learning.net.region_kernel", COUNT | NULL),
    ("judges judges.not_comparable", GROUP),
    ("judges.insightface judges.not_comparable.*", TEXT),
    ("judges.detector", choice("opencv", "retinaface", "yunet")),
    ("judges.align judges.*.align", FLAG),
    ("judges.selecting", listed(TEXT)),
    ("judges.*.input_mean judges.*.min_confidence", number()),
    ("judges.*.input_std", POSITIVE),
    ("judges.*.threads", COUNT),
    ("judges.*.inference", GROUP),
    ("judges.*.colours", choice("rgb", "bgr")),
    ("judges.*.licence", WORDS),
    ("judges.*.providers", listed(TEXT, 1)),
    ("judges.*.*.*", TEXT | NULL),
    ("judges.*", GROUP),
    ("data.total_batch data.batch data.*.size", COUNT),
    ("data.seed", SEED),
    ("data.workers", whole(0)),
    ("data.*.count", COUNT | NULL),
    ("data.*.part", choice("all", "train", "validation")),
    ("data.*.held_out", number(0, 1, above=True, below=True)),
    ("data.*.max_bad", SHARE),
    ("data.*.split", WORDS),
    ("data.*.folder", TEXT),
    ("data.*.indexes", TEXT | NULL),
    ("data data.*", GROUP),
    # how PromptNet or E4T is trained
    ("learning learning.optimizer", GROUP),
    ("learning.prompt", PROMPT),
    ("learning.penalty learning.optimizer.weight_decay", NOT_NEGATIVE),
    ("learning.gradient_checkpointing", FLAG),
    ("learning.optimizer.lr", POSITIVE),
    ("learning.optimizer.betas", listed(number(0, 1, below=True))),
    ("learning.optimizer.* learning.scheduler.*", ANY),  # of whichever optimiser and schedule
    ("learning.scheduler", GROUP | NULL),
    ("trainer", GROUP),
    ("trainer.ema", number(0, 1, below=True) | NULL),
    ("trainer.gradient_clip", NOT_NEGATIVE | NULL),
    ("trainer.precision", choice("32-true", "bf16-mixed", "64-true")),
    ("trainer.*", COUNT),
    # studies: which settings they change is looked up by name (check.py)
    ("ablation sweep grid", GROUP),
    ("ablation.change*", ANY),
    ("ablation.fresh_noise", whole(0)),
    ("ablation.*", TEXT),
    ("sweep.values grid.*", listed(ANY, 1)),
    ("sweep.lines*", ANY),
    ("sweep.*", TEXT),
    ("claim*", ANY),
]


def _each(lines: Lines, place: str = "") -> dict[str, Kind]:
    return {f"{place}{name}": kind for names, kind in lines for name in names.split()}


SETTINGS: dict[str, Kind] = {
    **_each([("*_target_", WORDS), ("*_partial_", FLAG)]),
    **{name: kind for place in SAMPLERS for name, kind in _each(SAMPLER, f"{place}.").items()},
    **{name: kind for command, lines in COMMANDS.items() for name, kind in _each(lines, f"{command}:").items()},
    **_each(LINES),
}


@cache
def kind_of(name: str, command: str = "") -> Kind | None:
    """What a setting, by its dotted name, may be in a command; None where there is no line for it."""
    for pattern, kind in SETTINGS.items():
        own, _, rest = pattern.rpartition(":")
        if (not own or own == command) and fnmatchcase(name, rest):
            return kind
    return None
