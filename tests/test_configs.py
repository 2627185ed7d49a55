"""Every configuration composes, and every `_target_` takes the settings beside it."""

from itertools import combinations
from pathlib import Path

import hydra
import pytest
import torch
from hydra import initialize_config_dir
from omegaconf import OmegaConf

from src.harness import build, compose
from src.harness import claim as claim_sides
from src.harness.settings import check, schema
from src.methods.profusion import ProFusion
from src.models.promptnet import PromptNet
from src.statistics.finding import PATH

CONF = Path(__file__).parents[1] / "conf"
ROOTS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem not in ("quiet", "compute", "workers"))
CLAIMS = sorted(path.stem for path in CONF.glob("claim/*.yaml"))
GROUPS = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml") if path.parent.name != "claim")
HOME = {
    "experiment": "train",
    "ablation": "ablate",
    "trainer": "train",
    "data": "train",
    "learning": "train",
    "grid": "tune",
    "sweep": "sweep",
    "effort": "claims",
}
PLACES = {"mask": "mask@world.augmentation.mask"}


@pytest.fixture(scope="module", autouse=True)
def config_folder():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def check_lines(cfg, command):
    """Every setting has a line in src/harness/settings/schema.py, and what is shipped fits it."""
    lacking = [name for name in compose.settings(cfg) if schema.kind_of(name, command) is None]
    assert not lacking, f"add a line to src/harness/settings/schema.py for {', '.join(lacking)}"
    check.check(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "stage"]), command)


@pytest.mark.parametrize("root", ROOTS)
def test_every_command_composes(root):
    cfg = hydra.compose(root)
    build.check_targets(cfg)
    check_lines(cfg, root)


@pytest.mark.parametrize("path", GROUPS, ids=str)
def test_every_file_composes_and_binds(path):
    group, name = path.parent.name, path.stem
    root = HOME.get(group, "ablate")
    choice = [f"+experiment={name}" if group == "experiment" else f"{PLACES.get(group, group)}={name}"]
    world = [f"world={name}"] if (CONF / "world" / f"{name}.yaml").exists() else []
    cfg = hydra.compose(root, [*world, *choice] if group != "world" else choice)
    build.check_targets(cfg)
    check_lines(cfg, root)
    build.plain(OmegaConf.masked_copy(cfg, [key for key in cfg if key not in ("photo", "hydra")]))


@pytest.mark.parametrize("world", ["tiny", "sd2"])
def test_the_command_line_wins_over_the_experiment(world):
    assert hydra.compose("train", ["+experiment=ffhq_pretrain", f"world={world}"]).world.name == world


@pytest.mark.parametrize("name", CLAIMS)
def test_every_side_of_a_claim_composes_and_no_two_are_alike(name):
    cfg = hydra.compose("claims")
    claim = build.plain(cfg.claim[name])
    overrides = claim_sides.sides_of(claim)
    sides = [claim_sides.side(tuple(cfg.overrides), tuple(own)) for own in overrides.values()]
    for side in sides:
        build.check_targets(side)
    plain = [
        build.plain(OmegaConf.masked_copy(side, ["method", "promptnet", "sampler", "augmentation"])) for side in sides
    ]
    penalties = [[o for o in own if o.startswith(claim_sides.PENALTY)] for own in overrides.values()]
    plain = [[*pair] for pair in zip(plain, penalties, strict=True)]
    assert all(a != b for a, b in combinations(plain, 2))
    known = {PATH: claim_sides.paths_of(claim)}
    assert all({t["better"], t["worse"]} <= set(known.get(t["kind"], overrides)) for t in claim["tests"])
    assert set(claim.get("shown", overrides)) <= set(overrides)


def test_a_claim_along_a_path_has_each_side_at_each_strength():
    claim = {
        "sides": {"a": ["sampler=tiny_base"], "b": [], "oracle": ["method=prompt_only"]},
        "strengths": [
            {"sides": ["a"], "of": {"light": ["x=1"], "heavy": ["x=9"]}},
            {"sides": ["b"], "of": {"none": ["y=0"]}},
        ],
    }
    assert claim_sides.sides_of(claim) == {
        "oracle": ["method=prompt_only"],
        "a, light": ["sampler=tiny_base", "x=1"],
        "a, heavy": ["sampler=tiny_base", "x=9"],
        "b, none": ["y=0"],
    }
    everywhere = {"sides": {"a": [], "b": []}, "strengths": [{"of": {"light": ["x=1"]}}]}
    assert list(claim_sides.sides_of(everywhere)) == ["a, light", "b, light"]


def test_a_mistyped_target_argument_is_named():
    cfg = hydra.compose("ablate", ["+sampler.stepz=3"])
    with pytest.raises(ValueError, match=r"sampler\.stepz.*nearest is 'steps'"):
        build.check_targets(cfg)


FOREIGN = [
    "os.system",
    "src.build.build",
    "src.data.photos.Path",
    "src.files.whole.os.system",
    "src.data.photo_index.os.system",
]
FOREIGN += ["torch.optim.optimizer.torch.load", "builtins.exec", "src.data.photos.torch.hub.load"]


@pytest.mark.parametrize("target", FOREIGN)
def test_a_foreign_target_is_refused(target):
    cfg = hydra.compose("ablate", [f"sampler._target_={target}"])
    with pytest.raises(ValueError, match="not allowed"):
        build.check_targets(cfg)


def test_a_target_that_comes_in_after_the_check_is_refused_when_it_is_built(tmp_path):
    cfg = hydra.compose("ablate")
    cfg.sampler = {"_target_": "src.data.photo_index.os.mkdir", "path": str(tmp_path / "new")}
    with pytest.raises(ValueError, match="not allowed"):
        build.build(cfg.sampler)
    assert not (tmp_path / "new").exists()


def test_an_added_setting_is_refused_and_the_nearest_named():
    cfg = hydra.compose("ablate", ["+peeple=3"])
    with pytest.raises(ValueError, match="nearest is 'people'"):
        compose.check_overrides(cfg, ["seeds=1", "+peeple=3"])


@pytest.mark.parametrize("method", ["tiny_dreambooth", "tiny_textual_inversion"])
def test_the_nearest_setting_is_one_of_what_was_chosen(method):
    nearest = {"tiny_dreambooth": "method.identifier", "tiny_textual_inversion": "method.initial"}[method]
    words = [f"method={method}", "method.initifier=x"]
    with pytest.raises(ValueError, match=rf"'method\.initifier'; the nearest is '{nearest}'"):
        compose.compose("ablate", words)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "ablation").glob("*.yaml")))
def test_an_ablation_changes_existing_settings_only(name):
    cfg = hydra.compose("ablate", [f"ablation={name}"])
    known = set(compose.settings(cfg))
    assert set(cfg.ablation.change) <= known


@pytest.mark.parametrize("name", ["ablate", "personalise", "tune", "sweep", "build_tiny_world"])
def test_a_world_chooses_the_settings_of_its_method_and_the_command_line_another_method(name):
    stage = ["stage=gates"] if name == "build_tiny_world" else []
    chosen = OmegaConf.load(CONF / "method" / "tiny_profusion.yaml").finetune
    held = hydra.compose(name, stage).method.finetune
    assert {key: held[key] for key in chosen} == dict(chosen)
    assert set(hydra.compose(name, [*stage, "method=prompt_only"]).method) == {"_target_", "_partial_"}


def test_the_sampler_of_the_page_works(tmp_path, tiny_base):
    page = (CONF / "sampler" / "README.md").read_text()
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "late_person.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    cfg = hydra.compose("ablate", ["sampler=late_person", f"hydra.searchpath=[file://{tmp_path}]"])
    build.check_targets(cfg)
    sampler = build.build(cfg.sampler)
    torch.manual_seed(0)
    promptnet = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    person = ProFusion(promptnet, sampler).learn(tiny_base, torch.zeros(1, 3, 64, 64))
    assert torch.isfinite(person("a photo of S* at the beach", [0])).all()
    assert person.unet_evaluations == 10 * 2 + 20 * (2 * 2 + 3)
