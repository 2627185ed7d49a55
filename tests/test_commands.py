"""The commands, as a user types them, on the shipped world: results, reuse, and bad input."""

import json
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from src import ablate, build_tiny_world, claims, compare_methods, personalise, regularisation, sweep, train, tune
from src.files.sheets import read_sheet
from src.harness.compose import CONF, PACKAGE
from src.runs.store import read_settings
from src.tiny_world.photos import people

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "src" / "tiny_world" / "examples" / "person-300000.png"
OTHER = PHOTO.with_name("person-300001.png")
QUICK = ["sampler.steps=2", "method.finetune.steps=2", "method.finetune.batch=2", "logger.mode=disabled"]
SMALL = ["people=2", "prompts=2", "seeds=1"]
pytestmark = pytest.mark.weights


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a command in this process, its runs in a temporary folder; returns (status, printed, complained)."""

    def typed(command, *overrides):
        monkeypatch.setattr(sys, "argv", [command.__name__, f"runs={tmp_path / 'runs'}", *overrides])
        monkeypatch.chdir(tmp_path)
        status = 0
        try:
            command.main()
        except SystemExit as stop:
            status = 0 if stop.code in (None, 0) else 1
            print(stop.code or "", file=sys.stderr)
        out, err = capsys.readouterr()
        return status, out, err.strip().splitlines()[-1] if err.strip() else ""

    return typed


def test_an_ablation_prints_its_table_and_reuses_what_it_made(run, tmp_path):
    status, printed, complaint = run(ablate, "ablation=no_fusion", *QUICK, *SMALL)
    assert status == 0, complaint
    assert "illustration (n = 2" in printed
    assert "full 10, no_fusion 6" in printed  # U-Net evaluations of two steps
    grid = Path(re.search(r"grid: +(\S+)", printed)[1])
    assert Image.open(tmp_path / grid).width > 200
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*.png")}
    assert run(ablate, "ablation=no_fusion", *QUICK, *SMALL)[1].splitlines()[-6:] == printed.splitlines()[-6:]
    run(ablate, "ablation=no_refinement", *QUICK, *SMALL)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert len(list((tmp_path / "runs" / "full").iterdir())) == 1


@pytest.mark.parametrize("name", ["table.md", "grid.png"])
def test_what_was_taken_away_from_a_complete_run_is_named_not_printed(run, tmp_path, name):
    tiny = ["ablation=no_fusion", "people=1", "prompts=1", "seeds=1", "method.finetune=null", *QUICK[:1], QUICK[3]]
    assert run(ablate, *tiny)[0] == 0
    next((tmp_path / "runs" / "ablate").glob(f"*/{name}")).unlink()
    status, printed, complaint = run(ablate, *tiny)
    assert status == 1
    assert f"/{name} is missing: " in complaint and f"/{name}" not in printed


def test_a_sampler_with_an_opening_runs_between_the_same_anchors(run):
    tiny = ["people=1", "prompts=1", "seeds=1", "sampler.steps=5", "logger.mode=disabled"]
    status, printed, complaint = run(ablate, "sampler=tiny_multi_stage", "ablation=no_finetune", *QUICK[1:3], *tiny)
    assert status == 0, complaint
    assert "full 14, no_finetune 14" in printed  # one step of 2 evaluations, four of 3


OTHER_METHODS = {
    "tiny_textual_inversion": ["method.steps=2", "method.batch=1"],
    "tiny_dreambooth": [
        "method.steps=2",
        "method.prior=0.1",
        "method.class_images.number=2",
        "method.class_images.steps=1",
    ],
}


@pytest.mark.parametrize("method", OTHER_METHODS)
def test_other_methods_learn_from_several_photos_and_are_drawn_by_fusion(run, tmp_path, method):
    words = [f"method={method}", *OTHER_METHODS[method], "sampler.steps=2", "seeds=1", "logger.mode=disabled"]
    status, printed, complaint = run(personalise, f"photo=[{PHOTO},{OTHER}]", *words)
    assert status == 0, complaint
    folder = (tmp_path / re.search(r"(\S+)/scores.csv", printed)[1]).resolve()
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["photos"], summary["images"], summary["unet_evaluations"]) == (2, 1, 10)
    learned = (folder / "person.safetensors").read_bytes()
    status, printed, complaint = run(ablate, "ablation=no_fusion", *words, "people=1", "prompts=1")
    assert status == 0, complaint
    assert "full 10, no_fusion 6" in printed
    assert (folder / "person.safetensors").read_bytes() == learned
    assert len(list((tmp_path / "runs" / "class_images").glob("*.safetensors"))) == (method == "tiny_dreambooth")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["method=tiny_textual_inversion", "method.initial=glassblower"], r"method\.initial \(glassblower\)"),
        (
            ["method=tiny_textual_inversion", "method.embedding=nobody"],
            r"method\.embedding \(nobody\): give a learned_emb",
        ),
        (["method=tiny_dreambooth", "method.identifier=crown"], r"method\.identifier \(crown\) is a known word"),
        (["method=tiny_dreambooth", "method.lora=nobody"], r"method\.lora \(nobody\): give a pytorch_lora_weights"),
        (["method=tiny_dreambooth", "method.rank=0"], r"method\.rank \(0\) must be"),
        (["method=tiny_dreambooth", "method.rank=1000"], r"method\.rank \(1000\) must be from 1 to"),
        (
            ["method=tiny_dreambooth", "method.class_images.steps=1001"],
            r"method\.class_images\.steps \(1001\) do not fit",
        ),
        (
            ["method=tiny_dreambooth", "method.class_images.guidance=-3"],
            r"method\.class_images\.guidance \(-3\) must be",
        ),
        (["method=tiny_dreambooth", "method.identifer=zwx"], r"the nearest is 'method\.identifier'"),
    ],
)
def test_what_a_method_cannot_use_is_named_before_a_run_is_made(run, tmp_path, words, message):
    status, _, complaint = run(personalise, f"photo={PHOTO}", *words, "logger.mode=disabled")
    assert status == 1
    assert re.search(message, complaint), complaint
    assert not list((tmp_path / "runs").glob("personalise/*"))


def test_a_sweep_ends_where_both_meanings_of_gamma_are_one(run, tmp_path):
    small = ["people=1", "prompts=1", "seeds=1", "sampler.steps=2", "method.finetune=null"]
    status, printed, complaint = run(sweep, "sweep=gamma", "sweep.values=[0.5,1]", *small)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    text = {(row["line"], row["sampler.gamma"]): float(row["text"]) for row in rows}
    assert text["position", "1"] == pytest.approx(text["interpolate", "1"], abs=1e-3)
    assert text["position", "0.5"] != text["interpolate", "0.5"]


def test_a_sweep_of_steps_learns_each_person_once(run, tmp_path):
    small = ["people=1", "prompts=1", "seeds=1", "sampler.steps=2", "method.finetune.batch=1", "logger.mode=disabled"]
    status, printed, complaint = run(sweep, "sweep=finetune_steps", "sweep.values=[1,3,2]", *small)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    assert [row["method.finetune.steps"] for row in rows] == ["1", "3", "2"] * 2
    kept = sorted((tmp_path / "runs" / "people").glob("*/*.json"))
    costs = {path: json.loads(path.read_text()) for path in kept}
    assert len(kept) == 3 and len({cost["seconds"] for cost in costs.values()}) == 3
    learned = {path: load_file(path.with_suffix(".safetensors")) for path in kept}
    for path in kept:
        path.with_suffix(".safetensors").unlink()
        path.unlink()
    for steps in (1, 2, 3):  # each by itself
        assert run(ablate, "ablation=no_fusion", *small, f"method.finetune.steps={steps}", "seeds=2")[0] == 0
    for path, tensors in learned.items():
        again = load_file(path.with_suffix(".safetensors"))
        assert again.keys() == tensors.keys() and all(torch.equal(again[name], tensors[name]) for name in tensors)
    own = [each["seconds"] for each in (json.loads(path.read_text()) for path in kept)]
    assert min(own) > 0


def test_a_sweep_of_photos_learns_from_so_many(run, tmp_path):
    small = ["people=1", "prompts=1", "seeds=1", "sampler.steps=2", "method.finetune=null"]
    status, printed, complaint = run(sweep, "sweep=photos", "sweep.values=[1,2]", *small)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    assert [row["unet_evaluations"] for row in rows] == ["10", "14", "6", "8"]  # the S* of each photo is a condition
    assert rows[0]["identity"] != rows[1]["identity"]


def test_a_recorded_claim_leaves_its_tables_and_pictures_and_fewer_than_16_people_decide_nothing(run, tmp_path):
    sizes = [
        "effort=quick",
        "only=[finetuning]",
        "people=2",
        "prompts=1",
        "overrides=['sampler.steps=2','method.finetune.steps=2']",
    ]
    status, printed, complaint = run(claims, *sizes, "experiments=kept", "record=true")
    assert status == 0, complaint
    assert "finetuning: undecided" in printed
    made = dict(re.findall(r"^  ([\w-]+): (\S+)$", printed, re.MULTILINE))
    assert set(made) == {"fine-tuned", "pre-trained"} and all((tmp_path / at).is_dir() for at in made.values())
    kept = tmp_path / "kept" / "finetuning"
    assert (kept / "quick.md").read_text().startswith("**undecided**")
    assert {path.name for path in kept.iterdir()} == {
        "quick.json", "quick.md", "quick.csv", "quick-judges.md", "quick.webp", "quick-differences.png"
    }  # fmt: skip
    images = sorted((tmp_path / "runs").rglob("*.png"))
    assert "undecided" in run(claims, *sizes, "experiments=kept", "show=true")[1]
    stale = run(claims, *sizes[:-1], "overrides=['sampler.steps=3']", "experiments=kept", "show=true")[1]
    assert "finetuning: stale" in stale and "undecided" not in stale
    assert "finetuning: not tested yet" in run(claims, *sizes, "experiments=nowhere", "show=true")[1]
    judges = (kept / "quick-judges.md").read_text()
    assert "text_a \\*" in judges and "identity_a \\*" in judges  # the selecting ones are marked
    (kept / "quick.json").write_text("{")
    assert "quick.json is damaged" in run(claims, *sizes, "experiments=kept", "show=true")[2]
    assert sorted((tmp_path / "runs").rglob("*.png")) == images


def test_a_claim_that_cannot_be_tested_yet_is_never_stale(run, tmp_path):
    asked = ["only=other_systems", "claim.other_systems.tests=[]", "claim.other_systems.sides={}", "experiments=kept"]
    assert "other_systems: not tested yet" in run(claims, *asked, "record=true")[1]
    assert (tmp_path / "kept" / "other_systems" / "full.json").exists()
    assert "other_systems: not tested yet" in run(claims, *asked, "show=true")[1]


def test_a_claim_says_what_its_sides_lack_before_anything_is_drawn(run, tmp_path):
    lacking = "claim.other_systems.sides.E4T=['method=tiny_e4t','method.e4t.folder=nowhere']"
    status, _, complaint = run(claims, "only=other_systems", lacking)
    assert status == 1 and "nowhere" in complaint and "+experiment=tiny_e4t" in complaint
    assert not list((tmp_path / "runs").rglob("*.png"))
    assert "other_systems: not tested yet" in run(claims, "only=other_systems", lacking, "show=true")[1]
    others = [path.stem for path in (CONF / "claim").glob("*.yaml") if path.stem != "other_systems"]
    empty = [f"claim.{name}.{part}" for name in others for part in ("tests=[]", "sides={}")]
    status, printed, complaint = run(claims, *empty, lacking)  # of all claims
    assert status == 0, complaint
    assert "other_systems: left out, it cannot be tested" in printed and "+experiment=tiny_e4t" in printed
    assert {line.split(":")[0] for line in printed.splitlines() if ": not tested yet" in line} == {*others}


def test_a_plan_says_how_wide_intervals_will_be_and_which_strength_suits_each_side(run, tmp_path):
    words = "claim.interpolated_gamma"
    strengths = "{light: ['method.finetune.steps=1'], heavy: ['method.finetune.steps=2']}"
    small = ["planning.people=2", "planning.prompts=2", "overrides=['sampler.steps=2','method.finetune.batch=2']"]
    small += [f"{words}.strengths=[{{of: {strengths}}}]", f"{words}.shown=null"]
    test = "{better: 'interpolate, light', worse: 'position, light', kind: text, margin: 0.0}"
    status, printed, complaint = run(claims, "plan=true", "only=interpolated_gamma", *small, f"{words}.tests=[{test}]")
    assert status == 0, complaint
    widths, strengths = printed.split("if doubled")[1].split("identity", 1)
    assert "text: interpolate, light - position, light" in widths
    best = [line.split() for line in strengths.splitlines() if line.startswith(("interpolate, ", "position, "))]
    assert [line[:2] for line in best] == [
        [f"{s},", w] for s in ("interpolate", "position") for w in ("light", "heavy")
    ]
    assert [sorted(line[-1] for line in pair) for pair in (best[:2], best[2:])] == [["no", "yes"]] * 2
    people = tmp_path / "runs" / "people"
    assert {path.stem for path in people.rglob("*.safetensors")} == {"300000", "300001"}  # validation people alone


def test_both_sides_start_from_the_same_noise(run, tmp_path):
    run(ablate, "ablation=no_fusion", *QUICK, "people=1", "prompts=1", "seeds=2")
    sides = [next((tmp_path / "runs" / name).iterdir()) for name in ("full", "no_fusion")]
    rows = [read_sheet(side / "scores.csv") for side in sides]
    assert [row["file"] for row in rows[0]] == [row["file"] for row in rows[1]]
    for row in rows[0]:
        seeds = [read_settings(side / row["file"])["noise_seed"] for side in sides]
        assert seeds[0] == seeds[1]


def test_an_interrupted_run_continues_where_it_stopped(run, tmp_path):
    run(ablate, "ablation=no_fusion", *QUICK, *SMALL)
    side = next((tmp_path / "runs" / "full").iterdir())
    images = sorted((side / "images").iterdir())
    kept, lost = images[0], images[-1]
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    (side / "summary.json").unlink()
    assert run(ablate, "ablation=no_fusion", *QUICK, *SMALL)[0] == 0
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content


def test_tuning_ranks_every_combination_of_the_grid(run, tmp_path):
    status, printed, complaint = run(tune, "grid=fusion", *QUICK, "people=1", "prompts=1")
    assert status == 0, complaint
    ranked = read_sheet(next((tmp_path / "runs" / "tune").iterdir()) / "table.csv")
    grid = yaml.safe_load((ROOT / "conf" / "grid" / "fusion.yaml").read_text())
    wanted = [" ".join(f"{n}={v}" for n, v in zip(grid, values, strict=True)) for values in product(*grid.values())]
    assert sorted(row["settings"] for row in ranked) == sorted(wanted)
    scores = [float(row["score"]) for row in ranked]
    assert scores == sorted(scores, reverse=True)
    assert f"best: {ranked[0]['settings']}" in printed


def test_personalise_writes_images_with_their_settings(run, tmp_path):
    prompt = "a photo of S* at the beach"
    status, printed, complaint = run(personalise, f"photo={PHOTO}", f"prompts=['{prompt}']", "seeds=2", *QUICK)
    assert status == 0, complaint
    folder = tmp_path / re.search(r"images +(\S+)", printed)[1]
    assert [read_settings(path)["seed"] for path in sorted(folder.iterdir())] == [0, 1]
    assert read_settings(folder / "00-0.png")["prompt"] == prompt
    assert "drawings of its own kind only" in printed


def test_personalise_takes_several_photos(run):
    assert run(personalise, f"photo=[{PHOTO},{PHOTO}]", "seeds=1", *QUICK)[0] == 0


def test_two_people_are_blended_by_weight(run):
    both = [f"photo=[{PHOTO},{OTHER}]", "people=[0,1]", "method.shares=[0.7,0.3]"]
    assert run(personalise, *both, "seeds=1", *QUICK)[0] == 0


def test_two_people_are_not_one_who_was_learned_elsewhere(run, tmp_path):
    config = json.loads((PACKAGE / "tiny_world" / "weights" / "base" / "text_encoder" / "config.json").read_text())
    save_file({"<person>": torch.zeros(config["hidden_size"])}, tmp_path / "word.safetensors")
    given = ["method=tiny_textual_inversion", "method.embedding=word.safetensors", "logger.mode=disabled"]
    both = [f"photo=[{PHOTO},{OTHER}]", "people=[0,1]", "seeds=1", "sampler.steps=1"]
    status, _, complaint = run(personalise, *both, *given)
    assert status == 1 and "people ([0, 1]) are several, and Textual Inversion learns one" in complaint


def test_what_a_person_was_learned_from_is_kept_to_look_at(run, tmp_path):
    own = ["augmentation=${world.augmentation}", "world.augmentation.augment.count=2"]
    status, _, complaint = run(personalise, f"photo={PHOTO}", "seeds=1", *QUICK, *own)
    assert status == 0, complaint
    folder = next((tmp_path / "runs" / "personalise").iterdir()) / "variants" / "0-person-300000"
    assert (folder / "sheet.png").is_file()


def test_the_renderer_has_masks_of_its_own_people_only(run):
    own = ["augmentation=${world.augmentation}", "mask@world.augmentation.mask=tiny"]
    status, _, complaint = run(personalise, f"photo={PHOTO}", "seeds=1", *QUICK, *own)
    assert status == 1 and complaint.startswith("error: the renderer has no mask of")


def test_a_person_is_learned_anew_from_another_mask(run, tmp_path):
    person = people("evaluation_1")[0]
    drawn = tmp_path / "evaluation_masks" / f"{person}.png"
    drawn.parent.mkdir()
    own = ["ablation=with_augmentation", "mask@world.augmentation.mask=file", "people=1", "prompts=1", "seeds=1"]
    own += ["world.augmentation.augment.count=2", "world.augmentation.inpainter.steps=2", *QUICK]

    for subject in (slice(0, 32), slice(32, 64), slice(0, 32)):
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[subject] = 255
        Image.fromarray(mask).save(drawn)
        status, _, complaint = run(ablate, *own)
        assert status == 0, complaint
    runs = tmp_path / "runs"
    assert len(list((runs / "with_augmentation").iterdir())) == 2  # one for each mask; the first is known again
    kept = {path.read_bytes() for path in (runs / "people").glob("*/*.safetensors")}
    assert len(kept) == 3  # one without augmentation


def test_every_lambda_continues_one_early_promptnet(run, tmp_path):
    small = ["early_steps=1", "further_steps=1", "penalties=[0.0,0.5]", "people=1", "prompts=1"]
    overrides = "overrides=['method.finetune=null','people_set.split=evaluation_1','sampler.steps=1']"
    status, printed, complaint = run(regularisation, *small, overrides)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    assert [(row["sampler"], row["lambda"]) for row in rows] == [
        (s, p) for p in ("0.0", "0.5") for s in ("base", "fusion")
    ]
    assert len(list((tmp_path / "runs" / "train").iterdir())) == 3  # the early one, and one each
    status, _, complaint = run(regularisation, *small, "early_steps=null", "penalties=[0.5]", overrides)
    assert status == 0, complaint
    assert len(list((tmp_path / "runs" / "train").iterdir())) == 4  # from the shipped one, which nobody trains


def test_pretraining_runs_and_goes_on(run, tmp_path):
    short = [
        "+experiment=tiny_pretrain",
        "data.total_batch=2",
        "trainer.validate_every=2",
        "trainer.checkpoint_every=2",
    ]
    short += ["trainer.validation_batches=1", "logger.mode=disabled", "preview.steps=1", "trainer.steps=2"]
    status, _, complaint = run(train, *short)
    assert status == 0, complaint
    folder = next((tmp_path / "runs" / "train").iterdir())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("val/loss" in row for row in rows)
    assert (folder / "promptnet" / "config.json").is_file()
    assert list((folder / "images").glob("step-*.png"))


def test_ffhq_pretraining_lists_everything_that_is_missing(run):
    status, _, complaint = run(train, "+experiment=ffhq_pretrain", "base.folder_or_hub_id=nobody/nothing")
    assert status == 1
    for word in ("FFHQ photos", "nobody/nothing", "CLIP-ViT-H-14", "+experiment=tiny_pretrain"):
        assert word in complaint


@pytest.mark.parametrize(
    ("command", "overrides", "words"),
    [
        (personalise, [], ["photo", "examples"]),
        (personalise, ["photo=nowhere.png"], ["nowhere.png", "does not exist"]),
        (personalise, ["photo=truncated.png"], ["truncated.png", "truncated or no image"]),
        (personalise, ["photo=words.png"], ["words.png", "no image"]),
        (personalise, [f"photo={PHOTO}", "prompts=['a photo of a person']"], ["a photo of a person", "exactly once"]),
        (personalise, [f"photo={PHOTO}", "prompts=['S* and S*']"], ["S* and S*", "exactly once"]),
        (personalise, [f"photo={PHOTO}", "prompts=['a photo of S* in a zeppelin']"], ["zeppelin", "nearest"]),
        (personalise, [f"photo={PHOTO}", f"prompts=['{'red ' * 40}S*']"], ["S* would be cut off", "shorten"]),
        (personalise, [f"photo={PHOTO}", "prompts=[]"], ["prompts", "at least one"]),
        (personalise, [f"photo={PHOTO}", "seeds=0"], ["seeds (0)"]),
        (personalise, [f"photo={PHOTO}", "prompts=['S* in snow','S*  in snow']"], ["S* in snow", "more than once"]),
        (ablate, ["prompt_set.before=${prompt_set.after}", "ablation=no_fusion"], ["more than once"]),
        (personalise, [f"photo={PHOTO}", f"sampler.generic='{'red ' * 31}hat'"], ["too long for a judge", "text_a"]),
        (ablate, [f"sampler.generic='{'red ' * 31}hat'", "ablation=no_fusion"], ["too long for a judge", "text_a"]),
        (personalise, [f"photo={PHOTO}", "judges=dlib"], ["dlib finds no face", "person-300000.png"]),
        (ablate, ["judges=dlib", "people=1", "ablation=no_fusion"], ["dlib finds no face", "the photo of"]),
        (ablate, ["ablation=no_fussion"], ["no_fussion", "no_fusion"]),
        (ablate, ["sampler.stepz=3"], ["sampler.stepz", "sampler.steps"]),
        (ablate, ["+sampler.stepz=3"], ["sampler.stepz", "sampler.steps"]),
        (ablate, ["sampler.fusion_eta=1.5"], ["fusion_eta (1.5)", "[0, 1]"]),
        (ablate, ["sampler.fusion_eta=-0.1", "ablation=no_finetune"], ["fusion_eta (-0.1)", "[0, 1]"]),
        (personalise, [f"photo={PHOTO}", "sampler.fusion_eta=2"], ["fusion_eta (2)", "[0, 1]"]),
        (personalise, [f"photo={PHOTO}", "sampler.steps=1001"], ["1001"]),
        (personalise, [f"photo={PHOTO}", "logger.mode=moon"], ["logger.mode (moon)", "offline"]),
        (personalise, [f"photo={PHOTO}", "method.finetune.steps=0"], ["method.finetune.steps (0)"]),
        (ablate, ["people=0"], ["people (0)"]),
        (sweep, ["sweep.values=[]"], ["sweep.values ([])"]),
        (sweep, ["sweep.setting=sampler.gama"], ["gama"]),
        (sweep, ["sweep=gamma", "sweep.values=[2]"], ["gamma (2)", "[0, 1]"]),
        (ablate, ["people=-1"], ["people (-1)"]),
        (ablate, ["people=501"], ["people (501)", "to 500"]),
        (ablate, ["seeds=abc"], ["seeds (abc)"]),
        (ablate, ["sampler.steps=1001"], ["1001"]),
        (ablate, ["sampler.blend=interp"], ["blend (interp)"]),
        (personalise, [f"photo={PHOTO}", "method.shares=[0.5,0.5]"], ["method.shares", "1 weights"]),
        (personalise, [f"photo=[{PHOTO},{PHOTO}]", "method.shares=[0,0]"], ["method.shares", "not all 0"]),
        (claims, ["only=[]"], ["only ([])", "both_stages"]),
        (claims, ["only=[moon]"], ["only (moon)", "both_stages"]),
        (claims, ["only=moon"], ["only (moon)", "both_stages"]),
        (claims, ["sampler.gamma=0.1"], ["there is no setting 'sampler'"]),
        (regularisation, ["sampler.gamma=0.1"], ["there is no setting 'sampler'"]),
        (personalise, [f"photo={PHOTO}", "people=[0,1]"], ["people ([0, 1])", "a list of 1"]),
        (personalise, [f"photo={PHOTO}", "method.shares=0.5"], ["method.shares (0.5)", "list of numbers"]),
        (personalise, [f"photo={PHOTO}", "method.shares=[a]"], ["method.shares", "list of numbers"]),
        (personalise, [f"photo={PHOTO}", "augmentation=true"], ["augmentation (True)", "${world.augmentation}"]),
        (ablate, ["method.shares=[0,0]"], ["method.shares", "1 weights"]),
        (
            ablate,
            ["ablation=with_augmentation", "mask@world.augmentation.mask=file"],
            ["the mask's folder", "draw masks"],
        ),
        (ablate, ["ablation=no_augmentation"], ["changes nothing", "another value"]),
        (sweep, ["sweep.values=3"], ["sweep.values (3)", "list"]),
        (regularisation, ["penalties=[abc]"], ["penalties", "0 or more"]),
        (regularisation, ["penalties=0.1"], ["penalties (0.1)", "a list"]),
        (regularisation, ["penalties=[.nan]"], ["penalties", "0 or more"]),
        (regularisation, ["penalties=[0.0,-0.1]"], ["penalties", "-0.1", "0 or more"]),
        (regularisation, ["penalties=[]"], ["penalties ([])"]),
        (ablate, ["prompt_set.after=[]", "prompt_set.before=[]"], ["prompt_set holds no prompt", "after="]),
        (build_tiny_world, ["stage=moon"], ["stage (moon)", "vae"]),
    ],
)
def test_bad_input_ends_with_one_sentence_and_writes_nothing(run, tmp_path, command, overrides, words):
    (tmp_path / "truncated.png").write_bytes(PHOTO.read_bytes()[:900])
    (tmp_path / "words.png").write_text("not an image")
    status, _, complaint = run(command, *overrides)
    assert status == 1
    assert complaint.startswith("error: ")
    assert all(word in complaint for word in words), complaint
    assert not (tmp_path / "runs").exists()


def test_a_damaged_weight_file_is_named(run, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(ROOT / "src" / "tiny_world" / "weights", weights)
    file = weights / "promptnet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    status, _, complaint = run(ablate, f"world.weights={weights}")
    assert status == 1
    assert "promptnet/diffusion_pytorch_model.safetensors" in complaint


def test_an_output_folder_that_cannot_be_written_is_named(run, tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    status, _, complaint = run(personalise, f"photo={PHOTO}", *QUICK)
    assert status == 1
    assert str(tmp_path / "runs") in complaint


def test_a_command_in_a_process_of_its_own_has_no_traceback(tmp_path):
    words = [sys.executable, "-m", "src.ablate", "sampler.stepz=3", f"runs={tmp_path / 'runs'}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_methods_crossed_with_samplers_say_what_each_pair_costs(run, tmp_path):
    sizes = ["people=1", "prompts=1", "seeds=1", "shown=1", "overrides=['sampler.steps=2']"]
    short = ["methods.profusion=['method.finetune.steps=2']"]
    short.append("methods.textual_inversion=['method=tiny_textual_inversion','method.steps=2']")
    short.append(
        "methods.dreambooth=['method=tiny_dreambooth','method.steps=2','method.prior=0.1','method.class_images.number=1']"
    )
    short.append("methods.e4t=['method=tiny_e4t','method.finetune.steps=1','method.finetune.batch=2']")
    status, printed, complaint = run(compare_methods, *sizes, *short)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    assert len(rows) == 5 * 5
    cost = {(row["method"], row["sampler"]): row for row in rows}
    assert [cost["profusion", name]["unet_evaluations"] for name in ("base", "mixed", "fusion")] == ["4", "6", "10"]
    assert float(cost["prompt_only", "base"]["learning s"]) == 0 < float(cost["profusion", "base"]["learning s"])
    assert len({row["learning s"] for row in rows if row["method"] == "profusion"}) == 1
    once = {row["method"]: float(row["once s"]) for row in rows}
    assert once.pop("dreambooth") > 0 == max(once.values())  # class images are nobody's own


def test_methods_that_learn_from_several_photos_say_from_how_many(run, tmp_path):
    sizes = ["people=1", "prompts=1", "shown=1", "overrides=['sampler.steps=2','world.reference.photos=3']"]
    sizes += [f"methods.{name}=null" for name in ("prompt_only", "profusion")]
    sizes += [f"samplers.{name}=null" for name in ("mixed", "switching", "multi_stage", "fusion")]
    short = ["methods.textual_inversion=['method=tiny_textual_inversion','method.steps=2']"]
    short.append("methods.dreambooth=['method=tiny_dreambooth','method.steps=2','method.prior=0']")
    short.append("methods.e4t=['method=tiny_e4t','method.finetune.steps=1','method.finetune.batch=3']")
    status, printed, complaint = run(compare_methods, *sizes, *short)
    assert status == 0, complaint
    rows = read_sheet(tmp_path / re.search(r"(\S+)/table.md", printed)[1] / "table.csv")
    assert {row["method"]: row["photos"] for row in rows} == dict.fromkeys(
        ("textual_inversion", "dreambooth", "e4t"), "3"
    )


def test_several_processes_train_the_base_alone(run, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    status, _, complaint = run(build_tiny_world, "stage=vae", "device=cpu")
    assert status == 1 and "stage (vae) is made by one process" in complaint
