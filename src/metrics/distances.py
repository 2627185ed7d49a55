"""How far a set of images is from a set of real ones, in the features of any judge: FID, KID (torchmetrics), CMMD."""

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

FEWEST = 50  # images on each side
SUBSETS, SUBSET = 100, 50


class _Features(nn.Module):
    """What torchmetrics takes for a feature extractor; it is handed the features themselves."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def set_distances(images: Tensor, real: Tensor) -> tuple[dict[str, float], list[str]]:
    """Features of images [N, D] and of real ones [M, D] -> measure -> value, and why a measure is left out.

    "fid" needs more than D images on both sides (else a covariance is singular), "kid" and "cmmd" 50. The names are
    those of the usual measures; the numbers compare with others' only in the same features (the usual FID's are those
    of torch-fidelity's Inception).
    """
    fewest, width = min(len(images), len(real)), images.shape[1]
    values: dict[str, float] = {}
    wanted = {"fid": width + 1, "kid": FEWEST, "cmmd": FEWEST}
    left_out = [f"{name}: needs {n} images on both sides, has {fewest}" for name, n in wanted.items() if fewest < n]
    if fewest > width:
        values["fid"] = _measured(FrechetInceptionDistance(_Features(width), normalize=True), images, real)
    if fewest >= FEWEST:
        kid = KernelInceptionDistance(_Features(width), subsets=SUBSETS, subset_size=SUBSET, normalize=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # its subsets are drawn by torch's own generator
            values["kid"] = _measured(kid, images, real)
        values["cmmd"] = gaussian_mmd(images, real)
    return values, left_out


def _measured(metric: FrechetInceptionDistance | KernelInceptionDistance, images: Tensor, real: Tensor) -> float:
    metric.update(real, real=True)
    metric.update(images, real=False)
    value = metric.compute()  # KID's is a mean over subsets and its deviation
    return float(value[0] if isinstance(value, tuple) else value)


def gaussian_mmd(x: Tensor, y: Tensor, sigma: float = 10.0, scale: float = 1000.0) -> float:
    """CMMD (Jayasumana et al., arXiv 2401.09603, eq. 5): scale * MMD^2 of x [N, D] and y [M, D], Gaussian kernel."""
    gamma = 1 / (2 * sigma**2)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-gamma * torch.cdist(a.double(), b.double()).square()).mean()

    return float(scale * (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)))
