"""One loop that fine-tunes a model, and everything it needs."""

from penwright.train.checkpoint import TrainState, load_state, newest_sound
from penwright.train.loop import Trainer
from penwright.train.meter import Observer, Silent
from penwright.train.optimizer import freeze
from penwright.train.plan import TrainPlan, choose_held_out, make_plan
from penwright.train.process import Interrupted

__all__ = [
    "Interrupted",
    "Observer",
    "Silent",
    "TrainPlan",
    "TrainState",
    "Trainer",
    "choose_held_out",
    "freeze",
    "load_state",
    "make_plan",
    "newest_sound",
]
