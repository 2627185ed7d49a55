"""prepare_data, import_official and export_person, as a user types them, on small random weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file

from src import export_person, import_official, prepare_data
from src.data.latents import LatentCache
from src.data.photos import PhotoFolder
from src.data.shards import Shards
from src.harness.deciding import portable
from src.learning.tuned import untuned
from src.models.digest import encoders_digest
from src.models.promptnet import PromptNet
from tests.data.test_photos import write

RELEASED = Path(__file__).parent / "fixtures" / "official" / "promptnet" / "rk4_clip1024"


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run a command in this process; returns (status, printed, complained)."""

    def typed(command, *overrides):
        monkeypatch.setattr(sys, "argv", [command.__name__, *map(str, overrides)])
        monkeypatch.setenv("PROFUSION_CACHE", str(tmp_path / "cache"))
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


@pytest.fixture
def base_of_the_world(tiny_base_folder):
    return [f"base.folder_or_hub_id={tiny_base_folder}", "world.weights=null"]


def test_ffhq_is_prepared_as_shards_and_latents(run, base_of_the_world, tiny_base, tmp_path):
    folder = tmp_path / "images1024x1024"
    rng = np.random.default_rng(0)
    for k in range(5):
        write(folder / "00000" / f"{k:05d}.png", rng.integers(0, 256, (128, 128, 3)))
    (folder / "00000" / "00005.png").write_bytes(b"")
    photos = ["data=ffhq", f"data.train.folder={folder}", "data.train.size=64", "data.train.max_bad=0.2"]
    status, printed, complaint = run(prepare_data, *photos, "out=prepared", "latents=true", *base_of_the_world)
    assert status == 0, complaint
    assert "1 of 6 photos" in printed and "4 photos" in printed
    assert len(list((tmp_path / "cache" / "photos").glob("images1024x1024-*.json"))) == 1
    whole = PhotoFolder(folder / "00000", size=64)
    whole.names.remove("00005.png")
    parts = {part: Shards(tmp_path / "prepared" / part / "shards", size=64) for part in ("train", "validation")}
    assert [len(part) for part in parts.values()] == [4, 1]
    assert torch.equal(parts["validation"][0]["image"], whole[4]["image"])
    cache = LatentCache(tmp_path / "prepared" / "train" / "latents")
    cache.check(encoders_digest(tiny_base))
    assert cache.names == parts["train"].names
    mean, _ = tiny_base.posterior(parts["train"][2]["image"][None])
    torch.testing.assert_close(cache[2]["mean"], mean[0], rtol=1e-4, atol=1e-5)


def test_the_embedded_world_is_prepared_too(run, tmp_path):
    few = ["data.train.count=3", "data.validation.count=2"]
    assert run(prepare_data, *few, "out=prepared")[0] == 0
    assert Shards(tmp_path / "prepared" / "train" / "shards", size=64).names[0].startswith("person-")


def official(folder, **more):
    folder.mkdir()
    (folder / "config.json").write_bytes((RELEASED / "config.json").read_bytes())
    torch.save(
        load_file(RELEASED / "diffusion_pytorch_model.safetensors") | more, folder / "diffusion_pytorch_model.bin"
    )
    return folder


def test_the_authors_pickle_becomes_our_folder(run, tmp_path):
    status, printed, complaint = run(import_official, f"folder={official(tmp_path / 'theirs')}", "out=ours")
    assert status == 0, complaint
    assert "1 pseudo-token" in printed and "world.promptnet=ours" in printed
    ours, theirs = PromptNet.load(tmp_path / "ours"), PromptNet.from_official(RELEASED)
    assert sorted(path.suffix for path in (tmp_path / "ours").iterdir()) == [".json", ".safetensors"]
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


class Malice:
    """What a pickle runs when it is read in the old way."""

    def __reduce__(self):
        return Path.touch, (Path("it_ran"),)


def test_a_folder_that_is_not_the_authors_is_named_and_nothing_is_written(run, tmp_path):
    theirs = official(tmp_path / "theirs", **{"brand.new": torch.zeros(2), "conv_in.bias": torch.zeros(3)})
    cases = {
        f"folder={theirs}": ["1 unexpected (brand.new)", "1 of another shape (conv_in.bias)"],
        f"folder={official(tmp_path / 'evil', evil=Malice())}": ["is damaged"],
        f"folder={official(tmp_path / 'no_tensor', steps=3)}": ["steps of its weights is no tensor"],
        "folder=nowhere": ["no PromptNet at nowhere"],
    }
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    torch.save({}, tmp_path / "bare" / "diffusion_pytorch_model.bin")
    cases["folder=bare"] = ["config.json lacks block_out_channels"]
    for folder, words in cases.items():
        status, _, complaint = run(import_official, folder, "out=ours")
        assert status == 1
        assert complaint.startswith("error: ")
        assert all(word in complaint for word in words), complaint
        assert not (tmp_path / "ours").exists()
    assert not (tmp_path / "it_ran").exists()


@pytest.fixture
def learned(tiny_base, tiny_base_folder, tmp_path):
    """A finished personalise run, and the overrides that name its base and PromptNet."""
    promptnet = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    promptnet.save(tmp_path / "promptnet")
    tuned = untuned(tiny_base, promptnet)
    attention = tuned.base.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    with torch.no_grad():
        attention.to_q.weight += 1
    folder = tmp_path / "runs" / "personalise" / "abc"
    tuned.save(folder / "person.safetensors")
    write(folder / "photos" / "0.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    config = {
        "base": {
            "_target_": "src.models.base.load_base",
            "folder_or_hub_id": str(tiny_base_folder),
            "image_encoder": None,
            "dtype": "float32",
        },
        "promptnet": {"_target_": "src.models.promptnet.PromptNet.load", "folder": str(tmp_path / "promptnet")},
    }
    (folder / "config.json").write_text(json.dumps(portable(config)))
    names = [f"base.folder_or_hub_id={tiny_base_folder}", f"promptnet.folder={tmp_path / 'promptnet'}"]
    return folder, tuned, [*names, "world.weights=null"]


def test_a_person_is_exported_for_stock_diffusers(run, learned, tmp_path):
    folder, tuned, names = learned
    status, printed, complaint = run(export_person, f"run={folder}", "out=person", "timestep=300", *names)
    assert status == 0, complaint
    assert "approximation" in printed and "timestep 300" in printed
    about = json.loads((tmp_path / "person" / "person.json").read_text())
    assert about["timestep"] == 300 and "approximation" in about["note"]
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "person")
    theirs = pipeline.unet.state_dict()
    assert all(torch.equal(theirs[name], value) for name, value in tuned.base.unet.state_dict().items())
    assert pipeline("S* at the beach", num_inference_steps=1, output_type="pt").images.shape == (1, 3, 64, 64)


def test_an_export_that_cannot_be_is_named_and_writes_nothing(run, learned, tmp_path):
    folder, _, names = learned
    cases = [
        ([f"run={folder}", *names, "timestep=1000"], ["timestep (1000)", "0 to 999"]),
        ([f"run={folder}", *names, "base.dtype=bfloat16"], ["was learned with another base"]),
        (["run=nowhere", *names], ["nowhere has no config.json", "personalise"]),
        ([*names], ["run is not given"]),
    ]
    for overrides, words in cases:
        status, _, complaint = run(export_person, *overrides, "out=person")
        assert status == 1
        assert complaint.startswith("error: ")
        assert all(word in complaint for word in words), complaint
        assert not (tmp_path / "person").exists()


def test_a_target_in_a_runs_configuration_is_never_built(run, learned, tmp_path):
    folder, _, names = learned
    config = json.loads((folder / "config.json").read_text())
    config["sampler"] = {"_target_": "os.mkdir", "path": str(tmp_path / "it_ran")}
    (folder / "config.json").write_text(json.dumps(config))
    assert run(export_person, f"run={folder}", "out=person", *names)[0] == 0
    assert not (tmp_path / "it_ran").exists()


def test_a_base_that_holds_pickles_alone_is_refused(run, tiny_base_folder, tmp_path):
    base = tmp_path / "base"
    for path in tiny_base_folder.rglob("*"):
        if path.is_file():
            target = base / path.relative_to(tiny_base_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    weights = base / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    few = ["data.train.count=1", "data.validation.count=1", "shards=false", "latents=true", "world.weights=null"]
    status, _, complaint = run(prepare_data, f"base.folder_or_hub_id={base}", *few)
    assert status == 1
    assert "unet" in complaint and "safetensors" in complaint
