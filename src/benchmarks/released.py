"""The arithmetic of the authors' released code, re-enacted on our networks: what our sampler is timed against."""

from collections.abc import Sequence

import torch
from torch import Tensor

from src.models.personal import PersonalNoise
from src.models.prompts import generic_prompt
from src.sampling import NULL, Condition, Conditions


class Released(PersonalNoise):
    """A noise that gives what PersonalNoise does, by the released code's evaluations, for one image at a time.

    In either stage S* is made anew, the empty, the generic and the joint prompt are encoded one by one, and the U-Net
    runs on all three, also where the fusion stage throws one away. Photo latents and vision tokens are computed once,
    as they are there.
    """

    def __call__(self, x: Tensor, t: Tensor, conditions: Sequence[Conditions]) -> Sequence[Tensor]:
        """ValueError for more than one image, and for what the released code does not ask for."""
        asked = [each if isinstance(each, Condition) else each[0] for each in conditions]
        joint = next((each for each in asked if each.photo == 0), NULL)
        three = [NULL, Condition(generic_prompt(joint.prompt, self.generic)), joint]
        if len(x) > 1 or joint == NULL or not set(asked) <= set(three):
            raise ValueError(f"the released code draws one image by guidance on its own three prompts, not by {asked}")
        self.unet_evaluations += 3
        self.promptnet_evaluations += 1
        self.text_evaluations += 3
        self.constant, self._encoded = {NULL: self._state([NULL], None), three[1]: self._state(three[1:2], None)}, {}
        texts = [*self.constant.values(), self._state([joint], self._moving[0](x, t))]
        predicted = self.base.predict_noise(x.expand(3, -1, -1, -1), t, torch.cat(texts)).chunk(3)
        return [predicted[three.index(each)] for each in asked]
