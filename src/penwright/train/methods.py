"""What is trained, and in what form it is held: chosen before the loop, which does not know it.

full   Every weight in float32. In bf16 the model itself holds the matrices in bfloat16, so that
       nothing is cast in a step; after each update they are refreshed from float32 masters.
lean   Every weight, in little memory: matrices in bfloat16, eight-bit averages, and each weight
       updated in the backward pass as soon as its gradient is there, which is then freed.
lora   Only small factors beside frozen matrices, which may be at one byte a weight.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.hooks import RemovableHandle

from penwright.errors import UsageError
from penwright.model import GPT2
from penwright.model.fused import fuse, unfuse
from penwright.model.gpt2 import Conv1D
from penwright.model.lora import Int8Conv1D, add_low_rank, quantize
from penwright.train.adamw8bit import AdamW8bit
from penwright.train.compiled import compile_blocks
from penwright.train.optimizer import make_optimizer, parameter_groups
from penwright.train.plan import TrainPlan
from penwright.weights.peft import Adapter, Pair, lora_settings, read_adapter

_AT_ONCE = 1 << 26  # numbers of gradients that are widened together on a GPU
LoadModel = Callable[[Path | None], GPT2]


class Full:
    """Float32 weights and an optimizer over them; `trained` are these weights by name."""

    copies = True
    """Whether a checkpoint is written from a copy, while training goes on."""
    _begun = _only = False  # of the micro-batches of a step

    def __init__(self, model: GPT2, plan: TrainPlan) -> None:
        self.model = model
        self.plan = plan
        self.narrow: dict[str, nn.Parameter] = {}
        self.masters: dict[str, nn.Parameter] = {}
        self.hooks: list[RemovableHandle] = []
        self.at_once = 1 if model.head_weight_VC.is_cpu else _AT_ONCE
        if plan.precision == "bf16":
            for name, module in _matrices(model).items():
                self._hold_narrow(f"{name}.weight", module.weight)
        self.held = dict(model.named_parameters()) | self.masters
        self.trained = {name: p for name, p in self.held.items() if p.requires_grad}
        self.optimizer = make_optimizer(
            self.trained,
            kind=plan.optimizer,
            weight_decay=plan.weight_decay,
            beta1=plan.beta1,
            beta2=plan.beta2,
            eps=plan.eps,
            seed=plan.seed,
        )

    waits_for_norm = False
    """Whether a step clips by the norm of the step before, so that the first must be measured."""

    def begin(self, *, last: bool, norm: Tensor | None = None) -> None:
        """Called before each micro-batch; `last` is the last one of its step.

        `norm` is the gradient's norm in the step before, None where there was none.
        """
        del norm
        self._only, self._begun = last and not self._begun, True

    def update(self, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
        """Clip, then step; returns the gradient's norm before clipping, which is not waited for.

        A gradient that is no number makes weights that are none: whoever reads the norm goes back.
        With loss scaling an overflow is expected now and then, and the scaler skips the step.
        """
        scaler.unscale_(self.optimizer)
        wide = [p.grad for p in self.trained.values() if p.grad is not None]
        narrow = [p.grad for p in self.narrow.values() if p.grad is not None]
        norms = torch._foreach_norm(wide + narrow, 2, torch.float32)
        norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        share = share_within(clip, norm)
        torch._foreach_mul_(wide, share)
        scaler.step(self.optimizer)
        scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self._refresh(share)
        self.forget_gradients()
        return norm

    def forget_gradients(self) -> None:
        """Free all gradients."""
        self._begun = False
        self.optimizer.zero_grad(set_to_none=True)
        self.model.zero_grad(set_to_none=True)

    def restore(self, load_model: LoadModel, folder: Path | None) -> None:
        """Take the weights of a checkpoint, or those that training began with for None."""
        state = load_model(folder).state_dict()
        with torch.no_grad():
            for name, held in self.held.items():
                held.copy_(state[name])
        self._refresh()

    @property
    def is_halfway(self) -> bool:
        """Whether some weights have taken the present step and others have not."""
        return False

    def release(self) -> None:
        """Give the model its float32 weights back, so that another method can take it over."""
        for hook in self.hooks:
            hook.remove()
        unfuse(self.model)
        self.forget_gradients()
        for name, narrow in self.narrow.items():
            narrow.data = self.masters[name].detach()
        self.narrow, self.masters = {}, {}

    def tensors(self) -> dict[str, Tensor]:
        """Every weight of the model by name, as a checkpoint holds it."""
        return {name: parameter.detach() for name, parameter in self.held.items()}

    def adapter(self, base_model: str) -> Adapter | None:
        """What was trained, where it is an adapter."""
        del base_model
        return None

    def _hold_narrow(self, name: str, weight: Tensor) -> None:
        """Hold a matrix in bfloat16 beside its float32 master, which takes its gradients.

        The gradient of an only micro-batch stays as it came, and widens when its turn comes.
        """
        assert isinstance(weight, nn.Parameter)
        master = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
        weight.data = weight.detach().bfloat16()
        self.narrow[name], self.masters[name] = weight, master

        def hand_over(narrow: Tensor) -> None:
            if narrow.grad is None or self._only:
                return
            if master.grad is None:
                master.grad = narrow.grad.float()
            else:
                master.grad += narrow.grad
            narrow.grad = None

        if weight.requires_grad:
            self.hooks.append(_on_gradient(weight, hand_over))

    @torch.no_grad()
    def _refresh(self, share: Tensor | float = 1.0) -> None:
        """Bring all narrow matrices up to their masters, after a step by what they hold."""
        for names in self._together():
            widened = False
            for name in names:
                master, narrow = self.masters[name], self.narrow[name]
                if narrow.grad is not None:
                    master.grad, narrow.grad = narrow.grad.float().mul_(share), None
                    widened = True
            if widened:
                self.optimizer.step()
            for name in names:
                self.masters[name].grad = None
                self.narrow[name].copy_(self.masters[name])

    def _together(self) -> Iterator[list[str]]:
        """Matrices whose gradients widen at once: one on a CPU, more where each call costs time."""
        names, count = [], 0
        for name, narrow in self.narrow.items():
            names.append(name)
            count += narrow.numel()
            if count >= self.at_once:
                yield names
                names, count = [], 0
        if names:
            yield names


class Lean(Full):
    """Updates each weight in the backward pass, when the gradient's norm is not known yet.

    It clips by the norm of the step before. The first step's is measured: until a norm is known
    gradients are only counted and thrown away.
    """

    copies = False

    def __init__(self, model: GPT2, plan: TrainPlan) -> None:
        self.model = model
        self.plan = plan
        self.narrow, self.masters = {}, {}
        self.hooks = []
        _narrow_frozen(model)
        self.held = dict(model.named_parameters())
        self.trained = {name: p for name, p in self.held.items() if p.requires_grad}
        groups = parameter_groups(self.trained.values(), plan.weight_decay)
        betas = plan.beta1, plan.beta2
        self.optimizer = self._eight_bit = AdamW8bit(
            groups, betas=betas, eps=plan.eps, seed=plan.seed
        )
        self.waits_for_norm = plan.clip > 0
        self._last = self._moves = False
        self._share: Tensor | float = 1.0
        self._squares: list[Tensor] = []
        for parameter in self.trained.values():
            self.hooks.append(_on_gradient(parameter, self._consume))

    def begin(self, *, last: bool, norm: Tensor | None = None) -> None:
        self._last = last
        self._moves = norm is not None or not self.waits_for_norm
        if norm is not None:
            self._share = share_within(self.plan.clip, norm)

    def update(self, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
        """Nothing is left to update: returns the norm of the gradients that were."""
        del scaler, clip
        norm = torch.stack(self._squares).sum().sqrt()
        self._squares.clear()
        return norm

    @property
    def is_halfway(self) -> bool:
        return bool(self._squares) and self._moves

    def forget_gradients(self) -> None:
        super().forget_gradients()
        self._squares.clear()

    def take_over(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Begin with the averages of AdamW, which is emptied of them one by one."""
        for name, parameter in self.trained.items():
            state = states.pop(name)
            if "exp_avg" in state and float(state["step"]) > 0:
                self._eight_bit.take_over(parameter, **state)
            elif "mean" in state:
                self._eight_bit.state[parameter] = state

    def _consume(self, parameter: Tensor) -> None:
        if self._last and parameter.grad is not None:
            self._squares.append(torch.linalg.vector_norm(parameter.grad, dtype=torch.float32) ** 2)
            if self._moves:
                self._eight_bit.update(parameter, parameter.grad, self._share)
            parameter.grad = None


class LoRA(Full):
    """Trains factors beside the frozen model, which a checkpoint holds merged and apart."""

    def __init__(self, model: GPT2, plan: TrainPlan) -> None:
        self.model = model
        self.plan = plan
        self.narrow, self.masters = {}, {}
        self.hooks = []
        if plan.quantize:
            quantize(model)
        if plan.precision == "bf16":
            _narrow_frozen(model)
        try:
            self.factors = add_low_rank(
                model,
                plan.lora_rank,
                plan.lora_alpha,
                dropout=plan.lora_dropout,
                targets=plan.lora_targets,
                seed=plan.seed,
            )
        except ValueError as error:
            raise UsageError(f"LoRA cannot be put there: {error}.") from None
        self.held = self.trained = {
            f"{name}.{side}": parameter
            for name, factors in self.factors.items()
            for side, parameter in factors.named_parameters()
        }
        self.optimizer = make_optimizer(
            self.trained,
            kind=plan.optimizer,
            weight_decay=plan.weight_decay,
            beta1=plan.beta1,
            beta2=plan.beta2,
            eps=plan.eps,
            seed=plan.seed,
        )

        self._first = self._pairs()

    def restore(self, load_model: LoadModel, folder: Path | None) -> None:
        """Take the factors of a checkpoint, or none for None: the frozen model is as it was."""
        del load_model
        pairs = read_adapter(folder / "adapter").pairs if folder else self._first
        with torch.no_grad():
            for name, pair in pairs.items():
                self.factors[name].lora_A.copy_(pair.a_RI)
                self.factors[name].lora_B.copy_(pair.b_OR)

    def tensors(self) -> dict[str, Tensor]:
        found = {name: parameter.detach() for name, parameter in self.model.named_parameters()}
        for name, module in _matrices(self.model).items():
            found[f"{name}.weight"] = module.weight.detach()
        for name, factors in self.factors.items():
            weight = found[f"{name}.weight"]
            found[f"{name}.weight"] = (weight.float() + factors.delta_IO()).to(weight.dtype)
        return found

    def adapter(self, base_model: str) -> Adapter | None:
        plan = self.plan
        settings = lora_settings(
            base_model,
            plan.lora_rank,
            plan.lora_alpha,
            list(plan.lora_targets),
            dropout=plan.lora_dropout,
        )
        return Adapter(self._pairs(), base_model, settings)

    def _pairs(self) -> dict[str, Pair]:
        return {
            name: Pair(
                factors.lora_A.detach().to("cpu", copy=True),
                factors.lora_B.detach().to("cpu", copy=True),
                factors.scale,
            )
            for name, factors in self.factors.items()
        }


def share_within(clip: float, norm: Tensor) -> Tensor:
    """What a gradient of this norm is multiplied by to be of norm `clip` at most; 0 never clips."""
    return (clip / (norm + 1e-6)).clamp(max=1.0) if clip else torch.ones_like(norm)


def make_method(model: GPT2, plan: TrainPlan) -> Full:
    """The method of a plan, with the model made ready for it."""
    method = {"full": Full, "lean": Lean, "lora": LoRA}[plan.method](model, plan)
    choose_forward(model, plan)
    return method


def change_method(old: Full, plan: TrainPlan) -> Full:
    """The method of another plan over the same weights, with the optimizer's averages so far."""
    if plan.method == old.plan.method:
        choose_forward(old.model, plan)
        return old
    state = {name: dict(old.optimizer.state.get(p, {})) for name, p in old.trained.items()}
    old.release()
    method = make_method(old.model, plan)
    if isinstance(method, Lean):
        method.take_over(state)
    return method


def choose_forward(model: GPT2, plan: TrainPlan) -> None:
    """How blocks run: compiled, in two fused halves or as they are; and, to recompute, twice."""
    unfuse(model)
    if plan.compile:
        compile_blocks(model)
    elif plan.method == "full" and plan.precision == "bf16":
        fuse(model)
    if plan.recompute:
        recompute(model)


def recompute(model: GPT2) -> None:
    """Keep only what goes into each block; the rest is computed again in the backward pass."""
    for block in model.blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


def _on_gradient(parameter: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook` whenever a backward pass has added to the parameter's gradient."""
    handle: RemovableHandle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
    return handle


def _matrices(model: GPT2) -> dict[str, Conv1D | Int8Conv1D]:
    """The matrices of all blocks by module name, in whatever form they are held."""
    return {
        f"transformer.h.{name}": module
        for name, module in model.blocks.named_modules()
        if isinstance(module, (Conv1D, Int8Conv1D))
    }


def _narrow_frozen(model: GPT2) -> None:
    """Hold the matrices in bfloat16 and nowhere else.

    Positions, norms and biases stay in float32, and so does the sum that runs through the blocks.
    """
    embeddings = {id(model.embed_tokens.weight), id(model.head_weight_VC)}
    conv = {id(m.weight) for m in model.blocks.modules() if isinstance(m, Conv1D)}
    for parameter in model.parameters():
        if id(parameter) in embeddings | conv:
            parameter.data = parameter.detach().bfloat16()
