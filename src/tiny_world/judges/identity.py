"""The identity judges of the embedded world: two face recognisers of different architectures, for insightface."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.tiny_world.judges.corruption import corrupt
from src.tiny_world.names import traits_of
from src.tiny_world.training.checkpoints import averaged
from src.tiny_world.training.loop import Budget, Descent, fit
from src.tiny_world.training.pictures import Pictures

TRAINING_PICTURES: dict[str, Any] = {"first": 140_000, "count": 40_000, "per_person": 10}
SIDE = 112  # pixels, what insightface's recognisers take
WIDTH = 128  # of an identity's embedding
BATCH = 64
SCALE, MARGIN = 24.0, 0.25  # of the margin softmax


def _conv(wide_in: int, wide_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False), nn.BatchNorm2d(wide_out), nn.PReLU(wide_out)
    )


class _Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.inner = nn.Sequential(
            _conv(width, width, 1), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))


class ConvRecogniser(nn.Sequential):
    """[B, 3, 112, 112] in [-1, 1] -> [B, `out`]: a coarse stem, two residual levels, a linear layer over all places."""

    def __init__(self, out: int = WIDTH, width: int = 32):
        super().__init__(
            nn.Conv2d(3, width, 7, 4, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            _conv(width, 2 * width, 2),
            _Residual(2 * width),
            _conv(2 * width, 3 * width, 2),
            _Residual(3 * width),
            nn.Conv2d(3 * width, width, 1),
            nn.Flatten(),
            nn.Linear(49 * width, out, bias=False),
            nn.BatchNorm1d(out),
        )


class _Mix(nn.Module):
    """One step of an MLP mixer: over the patches, then over the channels."""

    def __init__(self, patches: int, width: int):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.places = nn.Sequential(nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches))
        self.channels = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places(self.norms[0](x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norms[1](x))


class MixerRecogniser(nn.Module):
    """[B, 3, 112, 112] in [-1, 1] -> [B, `out`]: an MLP mixer over 8 x 8 patches."""

    def __init__(self, out: int = WIDTH, width: int = 112, layers: int = 4):
        super().__init__()
        self.patches = nn.Conv2d(3, width, SIDE // 8, SIDE // 8)
        self.mix = nn.Sequential(*(_Mix(64, width) for _ in range(layers)), nn.LayerNorm(width), nn.Linear(width, 32))
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(64 * 32, out, bias=False), nn.BatchNorm1d(out))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mix(self.patches(x).flatten(2).transpose(1, 2)))


NETS = {"identity_a": ConvRecogniser, "identity_b": MixerRecogniser}


def new_recogniser(name: str) -> nn.Module:
    """A recogniser with random weights. ValueError if there is no such judge."""
    if name not in NETS:
        raise ValueError(f"no identity judge {name!r}: choose one of {', '.join(NETS)}")
    return NETS[name]()


class RecogniserInTraining(nn.Module):
    """A recogniser, what the margin softmax compares its embeddings with, and a helper head; only the first is kept.

    Each person's weight vector of the softmax is a function of the person's traits and a correction of its own: what
    is learned about one is learned about all, where free vectors would want hundreds of pictures of each.
    """

    def __init__(self, name: str, everybody: Tensor):
        super().__init__()
        people, numbers = everybody.shape
        self.recogniser = new_recogniser(name)
        self.register_buffer("everybody", everybody)
        self.expected = nn.Sequential(nn.Linear(numbers, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.correction = nn.Parameter(torch.zeros(people, WIDTH))
        self.read = nn.Linear(WIDTH, numbers)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, 3, 112, 112] -> cosines with the people [B, P], traits as read off the embedding [B, T]."""
        embedding = self.recogniser(images)
        people = self.expected(self.everybody) + self.correction
        return F.normalize(embedding, dim=-1) @ F.normalize(people, dim=-1).T, self.read(embedding)


def everybody() -> Tensor:
    """The traits of all training people [P, T], each of mean 0 and deviation 1."""
    first, people = TRAINING_PICTURES["first"], TRAINING_PICTURES["count"] // TRAINING_PICTURES["per_person"]
    raw = traits_of(range(first, first + people))
    return (raw - raw.mean(0)) / raw.std(0).clamp(min=1e-3)


def margin_softmax_loss(cosine: Tensor, who: Tensor) -> Tensor:
    """CosFace (Wang et al., arXiv 1801.09414, eq. 4): cosines with all people [B, P], the right ones [B]."""
    return F.cross_entropy(SCALE * (cosine - MARGIN * F.one_hot(who, cosine.shape[1])), who)


def fitted(images: Tensor) -> Tensor:
    """[B, 3, H, W] -> [B, 3, 112, 112]."""
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


def train_identity_judge(
    cache: Path, name: str, *, budget: Budget, device: torch.device, seed: int = 1
) -> dict[str, Any]:
    """Tell the judge-training people apart; resumes from `cache`/NAME.pt."""
    pictures = Pictures(cache, **TRAINING_PICTURES)
    truth = everybody().to(device)

    def loss(net: nn.Module, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        index = torch.randint(pictures.count, (BATCH,), generator=generator)
        who = (index // pictures.per_person).to(device)
        cosine, numbers = net(fitted(corrupt(pictures.images(index), generator).to(device)))
        margin, helper = margin_softmax_loss(cosine, who), F.mse_loss(numbers, truth[who])
        return margin + 2 * helper, {"margin": margin.detach(), "helper": helper.detach()}

    torch.manual_seed(seed)
    net = RecogniserInTraining(name, truth)
    descent = Descent(2e-3, ema_decay=0.995)
    run = fit(net, loss, checkpoint=cache / f"{name}.pt", budget=budget, descent=descent, device=device, seed=seed)
    return run | {"parameters": sum(p.numel() for p in net.recogniser.parameters())}


def export_identity_judge(cache: Path, name: str, path: Path) -> None:
    """Write the averaged recogniser as ONNX."""
    net = RecogniserInTraining(name, everybody())
    averaged(net, cache / f"{name}.pt")
    write_onnx(net.recogniser, path)


def write_onnx(net: nn.Module, path: Path) -> None:
    """`net` [N, 3, 112, 112] -> [N, D] as ONNX with weights kept in half precision and N free."""
    import onnx

    path.parent.mkdir(parents=True, exist_ok=True)
    free = {"image": {0: "n"}, "embedding": {0: "n"}}
    torch.onnx.export(
        net.eval(),
        (torch.zeros(2, 3, SIDE, SIDE),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["embedding"],
        dynamic_axes=free,
    )
    onnx.save(_halved(onnx.load(path)), path)


def _halved(model: Any) -> Any:
    """An onnx.ModelProto whose large float32 constants are kept as float16, widened by a Cast before use."""
    import onnx

    casts = []
    for constant in model.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT and np.prod(constant.dims) > 256:
            name, value = constant.name, onnx.numpy_helper.to_array(constant)
            constant.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float16), f"{name}.half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    onnx.checker.check_model(model)
    return model
