"""Several processes that train one net on the CPU: two of one thread see more pictures a second than one of two."""

import torch
import torch.distributed as dist
from torch import nn

APART = 1000  # between the seeds that two processes draw from


def launched() -> bool:
    """Whether torchrun has started this process, perhaps as one of several."""
    return dist.is_torchelastic_launched()


def join(device: torch.device) -> None:
    """Meet the other processes that torchrun has started; alone, nothing. ValueError on another device than the CPU."""
    if not launched() or dist.is_initialized():
        return
    if device.type != "cpu":
        raise ValueError(f"device ({device.type}) must be cpu for several processes: start one of them, by python -m")
    dist.init_process_group("gloo")


def rank() -> int:
    """Which of the processes this is; 0 alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def share(batch: int) -> int:
    """How many of a batch this process draws. ValueError if the processes cannot share it equally."""
    count = dist.get_world_size() if dist.is_initialized() else 1
    if batch % count:
        raise ValueError(f"batch ({batch}) must be a multiple of the number of processes ({count})")
    return batch // count


def average_gradients(net: nn.Module) -> None:
    """Every process's gradients become their mean over the processes, in one message."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in net.parameters() if p.grad is not None]
    mean = torch.cat([g.flatten() for g in gradients]) / dist.get_world_size()
    dist.all_reduce(mean)
    for gradient, part in zip(gradients, mean.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def agreed(spent: float) -> float:
    """The largest value of any process: all end at the same step, though their clocks differ."""
    if not dist.is_initialized():
        return spent
    largest = torch.tensor(spent, dtype=torch.float64)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return float(largest)
