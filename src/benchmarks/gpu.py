"""The paper's scale on one GPU, and whether it computes what the CPU does: `python -m src.bench gpu`."""

import time
import traceback
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from src.benchmarks import report, same, scale
from src.benchmarks.clock import TimeIsUp, at_most, cleared, peak_flops
from src.data.photos import read_photos
from src.harness import device as devices
from src.harness.build import build, count, plain
from src.learning.finetune import Finetune
from src.learning.tuned import Tuned, untuned
from src.methods.drawing import Person
from src.methods.profusion import person_of
from src.models.base import compile_blocks
from src.reports.formats import to_text
from src.runs import provenance

PARTS = ("same", "pretrain", "finetune", "sample")
LATE = ("sample_cheaper", "sample_recorded", "sample_compiled", "same_compiled")  # compiling takes its time
Rows = Iterator[dict[str, Any]]


def run(cfg: DictConfig) -> None:
    folder, chosen = Path(cfg.out), chosen_parts(cfg)
    if not chosen:
        report.write_pages(folder)
        return
    bench = Bench(cfg, device_of(str(cfg.device)))
    results, end = report.Results(folder, bench.about()), time.perf_counter() + cfg.limit_s
    for name in chosen:
        part = bench.run(name, min(cfg.seconds[name], end - time.perf_counter()))
        results.keep(name, part)
        print(report.text_of(name, part), flush=True)
    print("\nGoals\n" + to_text(report.goals(results.parts)), flush=True)


def chosen_parts(cfg: DictConfig) -> list[str]:
    """The parts to run, in the order in which they run. ValueError for an unknown one."""
    only = list(cfg.only)
    unknown = [name for name in only if name not in PARTS]
    if unknown:
        raise ValueError(f"only ({unknown[0]}) must be some of {', '.join(PARTS)}")
    ways = {"cheaper": True, "recorded": str(cfg.device).startswith("cuda"), "compiled": cfg.compile}
    late = [name for name in LATE if name.split("_")[0] in only and ways[name.split("_")[1]]]
    return [*(name for name in PARTS if name in only), *late]


def device_of(name: str) -> torch.device:
    """The device of that name. ValueError where it is a GPU and there is none."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("there is no NVIDIA GPU here, so nothing was measured; device=cpu tries the benchmark out")
    return devices.device_of(name)


class Bench:
    """The parts, each a generator of rows, and what they have in common, built when it is first needed."""

    def __init__(self, cfg: DictConfig, device: torch.device):
        self.cfg, self.device = cfg, device
        self.notes: list[str] = []
        self.tuned: Tuned | None = None
        devices.set_tf32(False)

    def run(self, name: str, seconds: float) -> dict[str, Any]:
        """{seconds, failure, rows, notes} of a part; whatever ends it early, its rows so far are kept."""
        start, rows, failure = time.perf_counter(), list[dict[str, Any]](), ""
        self.notes = []
        try:
            with at_most(seconds):
                for row in getattr(self, name)():
                    rows.append(row)
                    print(f"{name}: {row}", flush=True)
        except TimeIsUp as stop:
            failure = str(stop)
        except Exception as error:  # of any kind: the other parts are to be measured all the same
            traceback.print_exc()
            failure = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        cleared(self.device)
        return {"seconds": time.perf_counter() - start, "failure": failure, "rows": rows, "notes": self.notes}

    def about(self) -> dict[str, Any]:
        """The card, versions, date."""
        on_gpu = self.device.type == "cuda"
        card = torch.cuda.get_device_properties(self.device) if on_gpu else None
        return {
            "card": card.name if card else provenance.machine(),
            "GiB": round(card.total_memory / 2**30, 1) if card else None,
            "CUDA": torch.version.cuda if card else None,
            "TF32": "off",
            "cuDNN": torch.backends.cudnn.version() if card else None,
            **provenance.versions(("torch", "diffusers", "transformers", "pytorch-lightning")),
            "date": provenance.now(),
            "commit": provenance.commit()["commit"],
        }

    @cached_property
    def base(self) -> Any:
        """Of the paper's size."""
        node, special = self.cfg.base, dict[str, str]()
        if str(node["_target_"]).endswith("random_base"):  # drawn on the device, which saves half a minute
            words = Path(self.cfg.embedded.base.folder_or_hub_id) / "tokenizer"  # open_clip, which has CLIP's, is rare
            special = {"device": str(self.device), "tokenizer": str(words)}
        return devices.moved(build(node, **special), self.device)

    @cached_property
    def promptnet(self) -> Any:
        return self._new_promptnet().requires_grad_(False).eval()

    @cached_property
    def bare(self) -> scale.Bare:
        return scale.bare_unet(self.base, self.device)

    def _new_promptnet(self) -> Any:
        encoders = self.base.image_encoder.config, self.base.text_encoder.config
        widths = {"vision_width": encoders[0].hidden_size, "text_width": encoders[1].hidden_size}
        return devices.moved(build(self.cfg.promptnet)(self.base.unet, **widths), self.device)

    def world(self, device: torch.device, **changes: Any) -> same.World:
        """The embedded one."""
        own = self.cfg.embedded
        base, promptnet = (devices.moved(net, device) for net in (build(own.base, **changes), build(own.promptnet)))
        photos = read_photos([own.photo], base.image_size).to(device)
        return same.World(base, promptnet.requires_grad_(False).eval(), photos, build(own.sampler), own.prompt)

    def same(self) -> Rows:
        seeds, finetune = list(self.cfg.embedded.seeds), Finetune(**plain(self.cfg.embedded.finetune))
        here, there = self.world(torch.device("cpu")), self.world(self.device)
        expected = same.trajectory(here, seeds)
        yield near("Fusion Sampling", same.apart(same.trajectory(there, seeds), expected))
        if self.device.type == "cuda":
            replayed = self.world(self.device)
            replayed.base.recorded = True
            yield near("Fusion Sampling, calls recorded", same.apart(same.trajectory(replayed, seeds), expected))
        (own, change), (other, found) = same.learned(here, finetune), same.learned(there, finetune)
        yield far("change learned in fine-tuning", (found - change).norm() / change.norm())
        paths = [same.trajectory(same.of(world, tuned), seeds) for world, tuned in ((there, other), (here, own))]
        yield near("Fusion Sampling of the person learned", same.apart(*paths))
        yield from self._judged(same.images(here, own, seeds), same.images(there, other, seeds), here.photos)
        if self.device.type == "cuda":
            there.base.recorded = True
            yield near("Fusion Sampling, recorded and replayed", same.apart(same.trajectory(there, seeds), expected))
        half = self.world(self.device, dtype="bfloat16")
        yield far("Fusion Sampling, base in bfloat16", same.apart(same.trajectory(half, seeds), expected))
        _, found = same.learned(half, finetune)
        yield far("change learned in fine-tuning, base in bfloat16", (found - change).norm() / change.norm())

    def _judged(self, first: Any, second: Any, photos: Any) -> Rows:
        own, devices = self.cfg.embedded, ("cpu", str(self.device))
        judges = {
            kind: [build(n, name=k) for k, n in own.judges[kind].items()] for kind in ("text", "identity", "image")
        }
        photo = same.bytes_of(photos)[0]
        rows, lacking = same.judged(judges, (first, second), photo, own.generic, devices)
        self.notes += [f"judges that cannot be loaded here: {'; '.join(lacking)}"] if lacking else []
        for row in rows:
            yield near(row["what"], row["distance"])

    def pretrain(self) -> Rows:
        cfg, peak = self.cfg.pretrain, peak_flops(str(self.about()["card"]))
        self.notes += [] if peak else ["the peak of this card is not known here, so no share of it is given"]

        def module(**options: Any) -> Any:
            return build(self.cfg.learning, **options)(base=self.base, net=self._new_promptnet())

        how: Mapping[str, Any] = {"steps": count(cfg, "steps"), "device": self.device, "bare": self.bare}
        for row in scale.pretraining(
            module, self.base, plain(cfg.tries), peak_flops=peak, **how, **plain(cfg.settings)
        ):
            self.notes += [f"batch {batch} does not fit ({row['inputs']})" for batch in row["did_not_fit"]]
            yield row

    def finetune(self) -> Rows:
        self.base.unet.disable_gradient_checkpointing()
        finetune = build(self.cfg.method.finetune, steps=count(self.cfg, "steps"))
        photos = count(self.cfg, "photos")
        row, self.tuned = scale.learning(self.base, self.promptnet, finetune, photos, self.device, self.bare)
        yield row

    def sample(self) -> Rows:
        yield from self._sampled(self._person())

    def sample_cheaper(self) -> Rows:
        """Samplers with shortcuts, and all others in fewer steps, at the largest batch."""
        person, cfg, steps = self._person(), self.cfg, count(self.cfg, "steps")
        cheaper = {name: build(node, steps=steps) for name, node in cfg.cheaper.items()}
        for fewer in (each for each in cfg.fewer if each < steps):
            cheaper |= {f"{name}, {fewer} steps": build(node, steps=fewer) for name, node in cfg.samplers.items()}
        bare = scale.bare_unet(person.base, self.device)
        for name, sampler in cheaper.items():
            yield scale.sampling(person, name, sampler, max(cfg.batches), bare)

    def sample_recorded(self) -> Rows:
        person = self._person()
        person.base.recorded = True
        yield from self._sampled(person)

    def sample_compiled(self) -> Rows:
        person = self._person()
        person.base.recorded = self.device.type == "cuda"
        for net in filter(None, (person.base.unet, person.noise.promptnet)):
            compile_blocks(net)
        for number, row in enumerate(self._sampled(person)):
            self.notes += (
                [] if number else [f"the first two steps, with which compiling begins: {row['warm_up']:.0f} s"]
            )
            yield row

    def _person(self) -> Person:
        """Whom `finetune` has learned; else somebody untuned."""
        photo, sampler = scale.random_photos(self.base, 1, self.device), build(self.cfg.samplers.base)
        return person_of(self.tuned or untuned(self.base, self.promptnet), photo, sampler)

    def _sampled(self, person: Person) -> Rows:
        samplers = {name: build(node, steps=count(self.cfg, "steps")) for name, node in self.cfg.samplers.items()}
        bare = scale.bare_unet(person.base, self.device)
        for batch in self.cfg.batches:
            for name, sampler in samplers.items():
                yield scale.sampling(person, name, sampler, batch, bare)

    def same_compiled(self) -> Rows:
        seeds = list(self.cfg.embedded.seeds)
        world = self.world(self.device)
        expected = same.trajectory(world, seeds)
        for net in (world.base.unet, world.promptnet):
            compile_blocks(net)
        yield far(
            "Fusion Sampling, compiled, against the same device", same.apart(same.trajectory(world, seeds), expected)
        )


def near(what: str, distance: Any) -> dict[str, Any]:
    """A distance that must be small."""
    return {"what": what, "distance": float(distance), "limit": report.NEAR}


def far(what: str, distance: Any) -> dict[str, Any]:
    """A distance that is only told."""
    return {"what": what, "distance": float(distance), "limit": None}
