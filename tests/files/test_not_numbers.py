"""What is not a number stops where it arises, nothing of it is kept, and a mean says over how many images it is."""

import re
import shutil

import pytest
import torch
from PIL import Image

from src.files.sheets import read_sheet
from src.learning.finetune import Finetune
from src.methods.drawing import Sampler
from src.methods.profusion import ProFusion
from src.metrics.columns import Columns, check_finite
from src.metrics.pictures import Album
from src.metrics.walk import walk
from src.models.promptnet import PromptNet
from src.reports.comparison_tables import overview, with_overall
from src.runs.sides import read_sides
from src.runs.store import write_csv
from src.statistics.ablation_table import ablation_table
from src.statistics.levels import level
from src.statistics.means import column_means

GUIDANCE = {"fusion": 3.0, "joint": 2.0, "text": 1.5}
ROWS = [{"prompt": "joint", "weight": "joint"}]


@pytest.fixture(scope="module")
def promptnet(tiny_base):
    torch.manual_seed(1)
    return PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32)


@pytest.fixture(scope="module")
def photos():
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1


def sampler(**changes) -> Sampler:
    return Sampler(**{"steps": 2, "joint": ROWS, "separate": ROWS, "guidance": GUIDANCE, "fusion_steps": 0, **changes})


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("lr", [1e9, 1e30])
def test_a_person_who_is_not_finite_is_not_kept(tiny_base, promptnet, photos, tmp_path, steps, lr):
    method = ProFusion(promptnet, sampler(), Finetune(steps=steps, lr=lr, batch=1))
    with pytest.raises(
        ValueError,
        match=rf"not finite at step \d: nothing of it is kept; lower method.finetune.lr \({re.escape(f'{lr:g}')}\)",
    ):
        method.learn(tiny_base, photos, keep=tmp_path / "ada.safetensors")
    assert not list(tmp_path.iterdir())


def test_noise_that_is_not_finite_is_named_with_its_timestep(tiny_base, promptnet, photos):
    person = ProFusion(promptnet, sampler(guidance={**GUIDANCE, "joint": 1e38})).learn(tiny_base, photos)
    with pytest.raises(ValueError, match=r'"a photo of S\*" is not finite at timestep \d+: nothing is drawn.*1e\+38'):
        person("a photo of S*", [0])


class Broken:
    """A judge that says nan of bright pictures, or of a prompt, though it sees a face in everything."""

    def __init__(self, *, of_words: bool = False):
        self.name, self.of_words = "broken", of_words

    def release(self): ...

    def see(self, pictures):
        level = torch.stack([picture.float().mean() for picture in pictures])
        vectors = torch.ones(len(pictures), 2)
        vectors[level > 100] = torch.nan
        return vectors if not self.of_words else torch.ones(len(pictures), 2), torch.ones(len(pictures))

    def say(self, prompts):
        vectors = torch.ones(len(prompts), 2)
        vectors[-1] = torch.inf
        return vectors


@pytest.mark.parametrize(("of_words", "named"), [(False, "bright.png"), (True, '"a red hat"')])
def test_a_judge_that_gives_no_numbers_is_named_and_nothing_is_kept(tmp_path, of_words, named):
    for name, grey in (("dark", 10), ("bright", 200)):
        Image.new("L", (8, 8), grey).save(tmp_path / f"{name}.png")
    album = Album([tmp_path / "dark.png", tmp_path / "bright.png"])
    judges = {"text": [Broken(of_words=of_words)]}
    with pytest.raises(ValueError, match=rf"judge broken gives numbers that are not finite for [^,]*{named}: nothing"):
        walk(judges, album, ["snow", "a red hat"], kept={"broken": tmp_path / "kept"})
    if not of_words:
        assert not (tmp_path / "kept").exists()


def test_a_comparison_that_is_not_finite_is_named():
    columns: Columns = {"identity/own": [0.5, "", float("nan")]}
    with pytest.raises(ValueError, match=r"identity/own is not finite for c\.png: nothing"):
        check_finite(columns, [{"file": f"{name}.png"} for name in "abc"])


def edited(made, folder, change):
    """A copy of a run whose scores somebody wrote anew."""
    shutil.copytree(made["full"], folder)
    (folder / "files.json").unlink()
    rows = read_sheet(folder / "scores.csv")
    write_csv(folder / "scores.csv", [change(number, dict(row)) for number, row in enumerate(rows)])
    return folder


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "0.1.2", "none"])
def test_scores_that_are_no_numbers_are_not_compared(made, tmp_path, word):
    bad = edited(made, tmp_path / "full" / "bad", lambda n, row: row | ({"identity/c": word} if n == 3 else {}))
    with pytest.raises(ValueError, match=rf"identity/c what is no finite number: \S+ \({word}\)"):
        read_sides([bad])


def test_a_missing_score_makes_no_run_better(made, tmp_path):
    """The same images twice; of one, the worst score is blank: its mean rises, and it is on the front no more alone."""
    rows = read_sheet(made["full"] / "scores.csv")
    worst = min(rows, key=lambda row: float(row["identity/c"]))["file"]
    blank = edited(
        made, tmp_path / "full" / "b", lambda _, row: row | ({"identity/c": ""} if row["file"] == worst else {})
    )
    sides, labels, _ = with_overall(read_sides([made["full"], blank], ["whole", "blank"]))
    table = overview(sides, labels)
    assert [row["front"] for row in table.rows] == ["yes", "yes"]
    assert f"blank: the mean of identity is over {len(rows) - 1} of {len(rows)} images" in table.notes
    assert (
        f"the front is over the {len(rows) - 1} of {len(rows)} images of which every method has all scores"
        in table.notes
    )


def test_every_mean_over_missing_cells_says_over_how_many(made):
    rows = [dict(row) for row in read_sheet(made["full"] / "scores.csv")]
    rows[0]["identity/c"] = ""
    anchors = {name: read_sheet(made[name] / "scores.csv") for name in ("copy", "other", "oracle_vae")}
    table = ablation_table(rows, read_sheet(made["no_fusion"] / "scores.csv"), anchors)
    assert any(note.startswith("identity/c, all: the mean of full is over 23 of 24") for note in table.notes)
    assert column_means(rows)["scored"] == {"identity/c": 23} and "scored" not in column_means(rows[1:])
    assert level(rows, anchors)["images"] == 23


def test_a_person_without_any_score_does_not_spoil_the_level(made):
    rows = [dict(row) for row in read_sheet(made["full"] / "scores.csv")]
    first = rows[0]["person"]
    blanked = [row | ({"identity/c": ""} if row["person"] == first else {}) for row in rows]
    anchors = {name: read_sheet(made[name] / "scores.csv") for name in ("copy", "other", "oracle_vae")}
    found = level(blanked, anchors)
    assert found["identity"] == found["identity"] and found["people"] == 2
