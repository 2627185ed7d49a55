import copy
import json
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from src.models.promptnet import UNUSED_HEADS, PromptNet, _encoder_shell

OFFICIAL = Path(__file__).parents[1] / "fixtures" / "official" / "promptnet"
RELEASED = OFFICIAL / "rk4_clip1024"


@pytest.fixture
def net(tiny_base):
    return PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=8)


def batch(rows=2, vision_width=48):
    x_t, x_ref = torch.randn(2, rows, 4, 16, 16)
    return x_t, torch.tensor([3, 700])[:rows], x_ref, torch.randn(rows, 5, vision_width)


@pytest.mark.parametrize(("region_kernel", "tokens"), [(None, 1), (4, 1), (2, 4), (1, 16)])
def test_the_region_kernel_sets_the_number_of_pseudo_tokens(tiny_base, region_kernel, tokens):
    net = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, region_kernel=region_kernel)
    assert net(*batch()).shape == (2, tokens, 32)
    assert net.num_pseudo_tokens == tokens
    assert net.first_prompt_projection.out_channels == 128


@pytest.mark.parametrize("region_kernel", [0, 5])
def test_a_region_kernel_beyond_the_lowest_resolution_is_refused(tiny_base, region_kernel):
    with pytest.raises(ValueError, match=rf"region_kernel \({region_kernel}\) must be in \[1, 4\]"):
        PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, region_kernel=region_kernel)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_any_number_of_levels(levels):
    unet = UNet2DConditionModel(
        sample_size=16,
        layers_per_block=1,
        block_out_channels=(8,) * levels,
        down_block_types=["DownBlock2D"] * (levels - 1) + ["CrossAttnDownBlock2D"],
        up_block_types=["UpBlock2D"] * levels,
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    net = PromptNet.from_unet(unet, vision_width=48, text_width=20, pseudo_channels=4)
    assert net(*batch()).shape == (2, 1, 20)
    assert net.region_prompt_output.in_channels == 4 * (levels + 2)


def test_the_encoder_half_starts_as_a_trainable_copy_of_the_base(tiny_base, net):
    base, ours = tiny_base.unet.state_dict(), net.state_dict()
    copied = [n for n in base if n.split(".")[0] in ("conv_in", "time_embedding", "down_blocks", "mid_block")]
    assert copied and all(torch.equal(base[name], ours[name]) for name in copied)
    assert all(p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in tiny_base.unet.parameters())
    with torch.no_grad():
        net.conv_in.weight.zero_()
    assert tiny_base.unet.conv_in.weight.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_base_has_a_promptnet_that_small_steps_move(tiny_base, dtype):
    unet = copy.deepcopy(tiny_base.unet).to(dtype)
    net = PromptNet.from_unet(unet, vision_width=48, text_width=32, pseudo_channels=8)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    torch.testing.assert_close(net.conv_in.weight, unet.conv_in.weight.float(), rtol=0, atol=0)
    before = net.mid_block.resnets[0].norm1.weight.detach().clone()  # ones: bfloat16 has no number within 2e-5
    net(*batch()).square().sum().backward()
    torch.optim.AdamW(net.parameters(), lr=2e-5, weight_decay=0.0).step()
    assert (net.mid_block.resnets[0].norm1.weight != before).all()


def test_every_parameter_is_trained(net):
    net(*batch()).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_each_input_matters_and_each_row_stands_alone(net):
    x_t, t, x_ref, vision = batch()
    whole = net(x_t, t, x_ref, vision)
    others = [(x_t + 1, t, x_ref, vision), (x_t, t + 9, x_ref, vision), (x_t, t, x_ref + 1, vision)]
    for other in [*others, (x_t, t, x_ref, vision + 1)]:
        assert (net(*other) - whole).abs().amax((1, 2)).min() > 1e-6
    for row in range(2):
        one = net(*(part[row : row + 1] for part in (x_t, t, x_ref, vision)))
        torch.testing.assert_close(one, whole[row : row + 1], rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):
        net(x_t, t, x_ref[:1], vision)


def test_the_timestep_may_be_a_number_a_scalar_or_a_batch(net):
    x_t, _, x_ref, vision = batch()
    expected = net(x_t, torch.tensor([40, 40]), x_ref, vision)
    for t in (40, torch.tensor(40), torch.tensor([40])):
        torch.testing.assert_close(net(x_t, t, x_ref, vision), expected, rtol=0, atol=0)


def test_gradient_checkpointing_changes_no_gradient(net):
    inputs = batch()
    net(*inputs).square().sum().backward()
    expected = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    net.gradient_checkpointing = True
    net(*inputs).square().sum().backward()
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.grad, expected[name], rtol=1e-5, atol=1e-6)


def test_save_and_load_keep_every_number(net, tmp_path):
    net.save(tmp_path / "net")
    again, inputs = PromptNet.load(tmp_path / "net"), batch()
    again.save(tmp_path / "net")  # over the file it was read from
    torch.testing.assert_close(again(*inputs), net(*inputs), rtol=0, atol=0)
    assert again.config == net.config and all(p.requires_grad for p in again.parameters())
    assert sorted(p.name for p in (tmp_path / "net").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.safetensors",
    ]


def test_half_precision_on_disk_is_full_precision_in_memory(net, tmp_path):
    net.save(tmp_path, torch.float16)
    assert load_file(tmp_path / "diffusion_pytorch_model.safetensors")["conv_in.bias"].dtype == torch.float16
    again = PromptNet.load(tmp_path)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    torch.testing.assert_close(again.conv_in.weight, net.conv_in.weight.half().float(), rtol=0, atol=0)


def test_a_file_that_is_missing_damaged_or_foreign_is_named(net, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no PromptNet at .*nowhere"):
        PromptNet.load(tmp_path / "nowhere")
    net.save(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({name: tensor for name, tensor in tensors.items() if name != "conv_in.bias"}, path)
    with pytest.raises(ValueError, match=r"1 absent \(conv_in.bias\)"):
        PromptNet.load(tmp_path)
    save_file(tensors | {"conv_in.bias": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"1 of another shape \(conv_in.bias\)"):
        PromptNet.load(tmp_path)
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="does not hold a PromptNet"):
        PromptNet.load(tmp_path)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match="is damaged"):
        PromptNet.load(tmp_path)


def released_copy(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    (folder / "config.json").write_bytes((RELEASED / "config.json").read_bytes())
    torch.save(tensors, folder / "diffusion_pytorch_model.bin")
    return folder


def test_the_released_format_is_also_read_from_a_bin_file(tmp_path):
    tensors = load_file(RELEASED / "diffusion_pytorch_model.safetensors")
    ours = PromptNet.from_official(released_copy(tmp_path / "bin", tensors)).state_dict()
    kept = {name for name in tensors if not name.startswith(UNUSED_HEADS)}
    assert ours.keys() == kept and all(torch.equal(ours[name], tensors[name]) for name in kept)


@pytest.mark.parametrize("name", ["down_blocks.9.extra.weight", "mid_residual.weight"])
def test_the_importer_skips_nothing_but_the_residual_heads(tmp_path, name):
    tensors = load_file(RELEASED / "diffusion_pytorch_model.safetensors") | {name: torch.zeros(2)}
    with pytest.raises(ValueError, match=rf"1 unexpected \({name}\).*of one release"):
        PromptNet.from_official(released_copy(tmp_path / "more", tensors))


def test_a_bin_file_cannot_run_code(tmp_path):
    folder = released_copy(tmp_path / "code", {})
    torch.save({"conv_in.weight": Path("anything")}, folder / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="is damaged"):
        PromptNet.from_official(folder)


def test_a_released_network_takes_the_noise_it_is_given_whatever_its_configuration_says(tmp_path):
    tensors = load_file(RELEASED / "diffusion_pytorch_model.safetensors")
    folder = released_copy(tmp_path / "still", tensors)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"with_noise": False}))
    still, moving = PromptNet.from_official(folder), PromptNet.from_official(RELEASED)
    assert (still.config["with_noise"], moving.config["with_noise"]) == (False, True)
    (x_t, x_ref), vision = torch.randn(2, 1, 4, 32, 32), torch.randn(1, 5, 1024)
    torch.testing.assert_close(still(x_t, 5, x_ref, vision), moving(x_t, 5, x_ref, vision), rtol=0, atol=0)


def test_at_the_real_size_every_tensor_but_the_residual_heads_is_read():
    """Names and shapes of the released Stable Diffusion 2 PromptNet; 408 M parameters without the heads."""
    listed = {name: tuple(shape) for name, shape in json.loads((OFFICIAL / "sd2_keys.json").read_text())}
    kept = {name: shape for name, shape in listed.items() if not name.startswith(UNUSED_HEADS)}
    config = json.loads((RELEASED / "config.json").read_text()) | {
        "block_out_channels": [320, 640, 1280, 1280],
        "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024,
        "norm_num_groups": 32,
        "sample_size": 64,
    }
    with torch.device("meta"):
        net = PromptNet.from_unet(_encoder_shell(config), vision_width=1280, text_width=1024)
    assert len(listed) == 357
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == kept
    assert sum(p.numel() for p in net.parameters()) == 431_285_504 - 22_948_480


def test_a_saved_one_goes_on_and_one_of_another_base_is_refused(tiny_base, tmp_path):
    net = PromptNet.from_unet(tiny_base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    net.save(tmp_path)
    again = PromptNet.continued(tiny_base.unet, folder=tmp_path, vision_width=48, text_width=32)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    assert all(p.requires_grad for p in again.parameters())
    with pytest.raises(ValueError, match="prompt_channel is 32, not 64"):
        PromptNet.continued(tiny_base.unet, folder=tmp_path, vision_width=48, text_width=64)
