"""A folder of weights and its manifest: what is listed is what is there, and each error names file and remedy."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from src.tiny_world.gates.gate import gate
from src.tiny_world.manifest import MANIFEST, check_manifest, read_manifest, weights_digest, write_manifest

FILES = {
    "base/vae/model.safetensors": "vae",
    "base/unet/model.safetensors": "base",
    "base/image_encoder/model.safetensors": "vision",
    "base/vocabulary.txt": "base",
    "judges/text_a/config.json": "text_a",
    "judges/presence.onnx": "presence",
    "promptnet/config.json": "promptnet",
    "e4t/config.json": "e4t",
}
SHIPPED = Path(__file__).parents[2] / "src" / "tiny_world" / "weights"


def stages() -> dict[str, Any]:
    return {
        name: {"command": f"python -m src.build_tiny_world stage={name}", "seed": 1, "steps": 5, "wall_s": 2}
        for name in FILES.values()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "weights" / name).write_bytes(name.encode() * 100)
    return tmp_path / "weights"


def test_what_is_written_is_read_and_the_folder_passes(folder: Path) -> None:
    row = gate(1, "VAE: PSNR, dB", 27.5, 26.0, {"worst": 20.0})
    written = write_manifest(folder, stages(), [row])
    assert read_manifest(folder) == check_manifest(folder) == json.loads(json.dumps(written))
    assert {name: entry["stage"] for name, entry in written["files"].items()} == FILES
    assert written["gates"][0] == {"details": {"worst": 20.0}, "held": True, "bound": 26.0} | written["gates"][0]
    assert not list(folder.rglob("*.tmp"))


def test_a_tampered_file_is_named_with_what_restores_it(folder: Path) -> None:
    write_manifest(folder, stages())
    path = folder / "base/vae/model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{path} is damaged or foreign.*git checkout -- {path}.*stage=vae`"):
        check_manifest(folder)


def test_a_truncated_file_is_damaged(folder: Path) -> None:
    write_manifest(folder, stages())
    (folder / "judges/presence.onnx").write_bytes(b"short")
    with pytest.raises(
        ValueError, match=r"presence\.onnx is damaged, it has 5 bytes instead of 2000: .*stage=presence"
    ):
        check_manifest(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    write_manifest(folder, stages())
    shutil.rmtree(folder / "promptnet")
    with pytest.raises(FileNotFoundError, match=r"promptnet/config\.json is missing: .*stage=promptnet"):
        check_manifest(folder)


def test_a_file_that_is_not_listed_is_foreign_but_a_hidden_one_is_nobodys(folder: Path) -> None:
    write_manifest(folder, stages())
    (folder / ".DS_Store").write_bytes(b"x")
    check_manifest(folder)
    (folder / "base/unet/extra.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"base/unet/extra\.bin is foreign.*remove it"):
        check_manifest(folder)


def test_no_manifest_half_a_manifest_and_another_one(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"manifest\.json is missing: restore it"):
        check_manifest(folder)
    write_manifest(folder, stages())
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:50])
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        read_manifest(folder)
    (folder / MANIFEST).write_text("{}")
    with pytest.raises(ValueError, match=r"manifest\.json is foreign, it has no 'files'"):
        read_manifest(folder)


def test_the_digest_is_that_of_names_and_bytes_alone(folder: Path) -> None:
    write_manifest(folder, stages())
    before = weights_digest(folder)
    again = {name: stage | {"wall_s": 99} for name, stage in stages().items()}
    write_manifest(folder, again, [gate(7, "closer", 0.5, 0.9, {})])
    assert weights_digest(folder) == before
    (folder / "base/vocabulary.txt").write_text("words")
    write_manifest(folder, again)
    assert weights_digest(folder) != before


def test_a_manifest_lacks_nothing_and_forgets_no_history(folder: Path) -> None:
    write_manifest(folder, stages(), history=[{"version": 0}])
    assert write_manifest(folder, stages(), history=[{"version": 1}])["history"] == [{"version": 0}, {"version": 1}]
    kept = (folder / MANIFEST).read_bytes()
    with pytest.raises(ValueError, match="stage vae lacks seed"):
        write_manifest(folder, stages() | {"vae": {"command": "x", "steps": 1, "wall_s": 1}})
    some = {name: stage for name, stage in stages().items() if name != "vision"}
    with pytest.raises(ValueError, match=r"image_encoder/model\.safetensors is of stage vision"):
        write_manifest(folder, some)
    assert (folder / MANIFEST).read_bytes() == kept


@pytest.mark.weights
def test_the_shipped_weights_are_as_listed_and_all_gates_are_measured() -> None:
    if not (SHIPPED / MANIFEST).is_file():
        pytest.skip("the embedded world has no manifest yet: its weights are still being trained")
    gates = check_manifest(SHIPPED)["gates"]
    if not gates:
        pytest.skip("the manifest has no gates yet: python -m src.build_tiny_world stage=gates")
    assert {row["number"] for row in gates} == set(range(10))
    assert [row["name"] for row in gates if row["bound"] is None] == ['words after S*: effect over after "a person"']
    for row in (row for row in gates if row["bound"] is not None):
        assert isinstance(row["value"], float) and isinstance(row["bound"], float), row["name"]
        assert row["held"] == (row["value"] >= row["bound"] if row["at_least"] else row["value"] <= row["bound"])
