"""A study: the same people, prompts and seeds under several methods, each side in its own run, judged alike."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from torch import Tensor
from tqdm import tqdm

from src.files.rows import Row, Rows
from src.harness.parallel.progress import Progress
from src.methods.method import Generate
from src.runs.digests import digest
from src.runs.run import Run, open_run
from src.runs.store import to_picture, write_csv
from src.statistics.means import column_means


def noise_seed(person: int | str, prompt: str, seed: int) -> int:
    """The seed of an image's noise: the same for every method that draws this person, prompt and seed."""
    return int.from_bytes(sha256(f"{person}|{prompt}|{seed}".encode()).digest()[:6], "big")


@dataclass(frozen=True)
class Pictures:
    """Images, uint8 [H, W, 3], of some rows of one person, and what they cost.

    unet_evaluations: of an image, None without a U-Net. learning: seconds that the person took before, 0 for more of
    the same person.
    """

    rows: Rows
    images: Sequence[np.ndarray]
    unet_evaluations: int | None
    seconds_an_image: float
    learning: float = 0.0


# (rows of each person, what is added to every seed's number) -> pictures of all rows, in whatever order
Draw = Callable[[Sequence[Rows], int], Iterator[Pictures]]


@dataclass(frozen=True)
class Study:
    """people x prompts x seeds. `prompts`: (family, prompt with S*). `photo(person)`: reference photos [P, 3, H, W].

    `score(folder)`: the rows of folder/images.csv with a column for each judge. `identity`: what results depend on
    besides the method, as plain data (judges, photos, sizes); weights and code: digests (see `digests.digest`).
    """

    root: Path
    people: Sequence[int | str]
    prompts: Sequence[tuple[str, str]]
    seeds: Sequence[int]
    photo: Callable[[int | str], Tensor]
    score: Callable[[Path], Rows]
    identity: Mapping[str, Any]
    weights: Mapping[str, str]
    code: str
    logger: Mapping[str, Any]
    group: str
    device: str = "cpu"  # in words, for whoever looks up where a run was made
    progress: Progress = field(default_factory=Progress)

    def side(
        self,
        name: str,
        config: Mapping[str, Any],
        draw: Draw,
        *,
        fresh_noise: int = 0,
        tags: Sequence[str] = (),
        learned: Path | None = None,
    ) -> tuple[Run, Rows]:
        """One method's images and scores; made once, then reused, and continued where an earlier sitting stopped.

        fresh_noise: added to every seed's number. learned: where `draw` keeps <person>.safetensors, which the mirror
        takes as artifacts if it was asked to.
        """
        settings, key = self._settings(config, fresh_noise), self.key(config, fresh_noise)
        about: dict[str, Any] = {"logger": self.logger, "group": self.group, "device": self.device, "echo": tqdm.write}
        with (
            self.progress.side(name, len(self._rows())),
            open_run(self.root, name, settings, key, tags=[name, *tags], **about) as run,
        ):
            if not run.complete:
                self._generate(run, draw, fresh_noise)
                rows = self._judged(run)
                if learned is not None:
                    for person in self.people:
                        run.keep("person", learned / f"{person}.safetensors")
                photos = len(self.photo(self.people[0])) if self.people else 0
                run.finish({"images": len(rows), "photos": photos, **column_means(rows), **_costs(run)})
            return run, list(run.scores())

    def key(self, config: Mapping[str, Any], fresh_noise: int = 0) -> str:
        """The digest of the run of one method."""
        return digest(self._settings(config, fresh_noise), weights=self.weights, code=self.code)

    def _settings(self, config: Mapping[str, Any], fresh_noise: int) -> dict[str, Any]:
        """All that one method's run depends on, besides weights and code."""
        cells = {"people": list(self.people), "prompts": [list(p) for p in self.prompts], "seeds": list(self.seeds)}
        return {"method": dict(config), **self.identity, "fresh_noise": fresh_noise, **cells}

    def _generate(self, run: Run, draw: Draw, fresh_noise: int) -> None:
        rows = self._rows()
        # all of a person's images, if one is missing: it is drawn in the batch that it would have been drawn in
        lacking = {row["person"] for row in rows if not run.has(row["file"])}
        wanted = [[row for row in rows if row["person"] == person] for person in self.people if person in lacking]
        self.progress.found(len(rows) - sum(map(len, wanted)))
        for own in wanted:
            person = own[0]["person"]
            run.save_image(own[0]["photo"], to_picture(self.photo(person)[0].cpu()), {"person": person})
        for pictures in draw(wanted, fresh_noise) if wanted else ():
            self._keep(run, pictures, fresh_noise)
        write_csv(run.path("images.csv"), rows)

    def _keep(self, run: Run, pictures: Pictures, fresh_noise: int) -> None:
        person, seconds = pictures.rows[0]["person"], pictures.seconds_an_image
        drawn = zip(pictures.rows, pictures.images, strict=True)
        new = [(row, image) for row, image in drawn if not run.has(row["file"])]
        for row, image in new:
            run.save_image(row["file"], image, {**row, "noise_seed": _noise_seed_of(row, fresh_noise)})
        for prompt in dict.fromkeys(row["prompt"] for row, _ in new):
            cost = {"unet_evaluations": pictures.unet_evaluations, "seconds_an_image": seconds}
            run.log({"person": str(person), "prompt": prompt, **cost})
        self.progress.drew(person, len(pictures.rows), seconds * len(pictures.rows), pictures.learning)

    def _judged(self, run: Run) -> Rows:
        started = time.perf_counter()
        rows = self.score(run.folder)
        run.write_scores(rows)
        self.progress.judged(len(rows), time.perf_counter() - started)
        return rows

    def _rows(self) -> Rows:
        return [
            {
                "file": f"images/{person}-{number:02d}-{seed}.png",
                "person": person,
                "prompt": prompt,
                "seed": seed,
                "family": family,
                "photo": f"photos/{person}.png",
            }
            for person in self.people
            for number, (family, prompt) in enumerate(self.prompts)
            for seed in self.seeds
        ]


def one_by_one(learn: Callable[[int | str], Generate]) -> Draw:
    """People in turn, in this process; learn(person): learns the person and returns the generator."""

    def draw(people: Sequence[Rows], fresh_noise: int) -> Iterator[Pictures]:
        for rows in people:
            yield from _pictures(learn, rows, fresh_noise)

    return draw


def _pictures(learn: Callable[[int | str], Generate], rows: Rows, fresh_noise: int) -> Iterator[Pictures]:
    """One person's rows, as many images at once as the generator draws."""
    started = time.perf_counter()
    generate = learn(rows[0]["person"])
    learning, started = time.perf_counter() - started, time.perf_counter()
    for batch, images in drawn(generate, rows, lambda row: _noise_seed_of(row, fresh_noise)):
        seconds, evaluations = (time.perf_counter() - started) / len(batch), getattr(generate, "unet_evaluations", None)
        yield Pictures(batch, [to_picture(image) for image in images], evaluations, seconds, learning)
        learning, started = 0.0, time.perf_counter()


def _noise_seed_of(row: Row, fresh_noise: int) -> int:
    return noise_seed(row["person"], row["prompt"], row["seed"] + fresh_noise)


def drawn(generate: Generate, rows: Rows, seed: Callable[[Row], int]) -> Iterator[tuple[Rows, Tensor]]:
    """Rows and their images [N, 3, H, W] on the CPU, as many at once as the generator draws; seed: of a row's noise."""
    size = getattr(generate, "batch", None)
    prompts = dict.fromkeys(row["prompt"] for row in rows)
    seeds = [[row for row in rows if row["prompt"] == prompt] for prompt in prompts]  # all of a prompt
    for batch in seeds if size is None else [rows[k : k + size] for k in range(0, len(rows), size)]:
        yield batch, generate([row["prompt"] for row in batch], [seed(row) for row in batch]).cpu()


def _costs(run: Run) -> dict[str, Any]:
    """The sampler's U-Net evaluations an image, if it has a U-Net, and the median of the seconds that an image took."""
    rows = run.metrics()
    counts = {row["unet_evaluations"] for row in rows} - {None}
    seconds = {"seconds_an_image": round(median(row["seconds_an_image"] for row in rows), 4)} if rows else {}
    return ({"unet_evaluations": max(counts)} | seconds) if counts else {}
