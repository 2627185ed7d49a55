"""Being asked to stop: SIGTERM, SIGINT, SIGUSR1 and 2 end a training after the step at hand, with a checkpoint."""

import os
import signal
import subprocess
from types import FrameType

import pytorch_lightning as pl
import torch

STATUS = {signal.SIGINT: 130}  # what a shell reports of a process that Ctrl-C ended
TERMINATED = 143  # and of one that SIGTERM did, whichever other signal stands for that here
REQUEUE = (signal.SIGUSR1, signal.SIGUSR2)  # a SLURM job's time is almost over; submitit sends the second one


class StopSignal:
    """Whether this training was `asked` to stop (the number of the signal, 0: not), on any of its devices."""

    def __init__(self) -> None:
        self.received = 0
        self.asked = 0

    def listen(self) -> None:
        """From now on signals are noted down only; the handlers that were there before are gone."""
        for number in (signal.SIGTERM, signal.SIGINT, *REQUEUE):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number

    def agree(self, trainer: pl.Trainer) -> None:
        """All devices stop at the same step, whichever of them got the signal."""
        heard = torch.tensor(self.received, device=trainer.strategy.root_device)
        self.asked = int(trainer.strategy.reduce(heard, reduce_op="max"))

    def leave_if_asked(self, trainer: pl.Trainer) -> None:
        """Once the checkpoint is written: a SLURM job that runs out of time is queued again; exit status 143 or 130."""
        if not self.asked:
            return
        if trainer.is_global_zero:
            name = signal.Signals(self.asked).name
            step = trainer.global_step
            print(f"{name}: stopped after step {step}; the same command goes on from there, its checkpoint", flush=True)
            if self.asked in REQUEUE and "SLURM_JOB_ID" in os.environ:
                _requeue()
        raise SystemExit(STATUS.get(signal.Signals(self.asked), TERMINATED))

    def hand_on(self) -> None:
        """Once Lightning has put the handlers of before in their places: they get what came after the last step."""
        if self.received in (signal.SIGTERM, signal.SIGINT) and not self.asked:
            os.kill(os.getpid(), self.received)


def _requeue() -> None:
    """Put this SLURM job back into the queue. CalledProcessError if SLURM refuses."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    subprocess.run(["scontrol", "requeue", job], check=True)
