"""A small training that every test of resuming, stopping and sharing runs."""

from functools import partial

import pytest
import torch
from torch.utils.data import TensorDataset

from src.data.datamodule import Photos
from src.learning.pretrain import Pretrain
from src.learning.trainer import Trainer
from src.models.promptnet import PromptNet


class Stack(TensorDataset):
    """Photos as a data set, each with a name."""

    @property
    def names(self):
        return [f"photo-{number}.png" for number in range(len(self))]

    def __getitem__(self, index):
        return {"image": super().__getitem__(index)[0]}


@pytest.fixture
def photos():
    return Stack(torch.rand(10, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1)


def learner(base, **changes):
    torch.manual_seed(3)
    promptnet = PromptNet.from_unet(base.unet, vision_width=48, text_width=32, pseudo_channels=4)
    optimizer = partial(torch.optim.AdamW, lr=1e-3)
    return Pretrain(base=base, net=promptnet, **{"optimizer": optimizer, **changes})


def pretrain(base, photos, folder, steps, *, log=None, total=4, batch=4, module=None, **changes):
    """(module, rows, validation) of a short training with few settings; `changes` are the trainer's."""
    rows = []
    module = module or learner(base)
    settings = {"checkpoint_every": 2, "validate_every": 2, "validation_batches": 1, "accelerator": "cpu"}
    call = {name: changes.pop(name) for name in ("show", "resume") if name in changes}
    validation = Trainer(steps=steps, **{**settings, **changes})(
        module,
        Photos(train=photos, validation=photos, total_batch=total, batch=batch),
        folder=folder,
        experiment="an experiment",
        log=log or rows.append,
        **{"show": lambda step: None, **call},
    )
    return module, rows, validation
