"""What an image costs under several samplers of the same person: evaluations, operations, time, memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from src.benchmarks.clock import flops_of, seconds_of
from src.benchmarks.released import Released
from src.harness.device import GIB, forget_peak, let_go, peak_memory
from src.methods.drawing import Person, Sampler

Row = dict[str, Any]
COUNTS = tuple(f"{part}_evaluations" for part in ("unet", "shallow", "promptnet", "text"))


def counted(person: Person, sampler: Sampler, prompt: str) -> Row:
    """Evaluations and GFLOP (matrix products and convolutions, decoding among them) of one image, drawn alone."""
    person.sampler = replace(sampler, batch=1)
    flops = flops_of(lambda: person(prompt, [0]))
    return {**{name: getattr(person.noise, name) for name in COUNTS}, "gflop": flops / 1e9}


def timed(person: Person, samplers: Mapping[str, Sampler], prompts: Sequence[str], repeats: int) -> dict[str, Row]:
    """For each sampler the median seconds an image, of `repeats` rounds in which each draws the same images once, and
    the peak of memory. The networks are warm before."""
    device = person.base.device

    def draw(sampler: Sampler) -> Callable[[], Any]:
        person.sampler = sampler
        return lambda: person(prompts, range(len(prompts)))

    draw(replace(next(iter(samplers.values())), steps=2))()
    seconds: dict[str, list[float]] = {name: [] for name in samplers}
    peaks = dict.fromkeys(samplers, 0)
    for _ in range(repeats):
        for name, sampler in samplers.items():
            let_go(device)
            forget_peak(device)
            seconds[name].append(seconds_of(draw(sampler), device) / len(prompts))
            peaks[name] = max(peaks[name], peak_memory(device))
    return {
        name: {"seconds": median(own), "fastest": min(own), "peak_gib": peaks[name] / GIB}
        for name, own in seconds.items()
    }


def against_released(person: Person, sampler: Sampler, photos: Any, prompts: Sequence[str], repeats: int) -> Row:
    """Median seconds an image by our sampler and by the released code's arithmetic, turn by turn, how far their
    pictures are apart at most, and the evaluations of the latter."""
    noise = Released(person.base, person.noise.promptnet, photos, generic=sampler.generic)
    released = Person(person.base, noise, replace(sampler, batch=1), shares=person.shares)
    person.sampler = sampler
    seconds: dict[str, list[float]] = {"ours": [], "released": []}
    drawn: dict[str, Any] = {}
    for _ in range(repeats):
        for name, each in (("ours", person), ("released", released)):

            def draw(name: str = name, each: Person = each) -> None:
                drawn[name] = each(prompts, range(len(prompts)))

            seconds[name].append(seconds_of(draw, person.base.device) / len(prompts))
    found: Row = {name: median(own) for name, own in seconds.items()}
    found["apart"] = float((drawn["ours"] - drawn["released"]).abs().max())
    return found | {name: getattr(noise, name) for name in COUNTS}
