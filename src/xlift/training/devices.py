"""Devices of a stage: the device of each process, and how several processes share a step.

Under torchrun each process is a rank with one device. The rows of every step are distributed over the ranks, with units kept
whole and similar numbers of tokens. Every loss is divided by the count of the whole step, so the sum of the ranks' gradients
equals the gradient of a single process, up to rounding.

ddp: every rank holds the whole model. Gradients are summed once per step, after the last micro-batch, and a head that a step
does not use has no gradient. (DistributedDataParallel averages, and requires the same number of micro-batches on all ranks.)
fsdp: weights, gradients and moments are sharded over the ranks (FSDP2); a layer's weights are gathered while it computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from xlift.errors import UserError
from xlift.recipes import Device, Engine, Strategy

BUCKET_BYTES = 2**26
"""Bytes of gradients that are summed over the ranks at a time. A limit keeps the copy that this needs small."""


@dataclass(frozen=True)
class ProcessGroup:
    """The ranks that train one model together. The default is a single process on the CPU."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")
    strategy: Strategy = "ddp"
    offload: bool = False

    @property
    def is_main_process(self) -> bool:
        """Whether this rank writes the results."""
        return self.rank == 0

    @property
    def is_sharded(self) -> bool:
        return self.world_size > 1 and self.strategy == "fsdp"

    def rank_seed(self, seed: int) -> int:
        """The rank's seed for dropout. Rank 0 uses the run's seed, so a group of one equals a single process."""
        return seed if self.rank == 0 else int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0])

    def place_model(self, module: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Move a model to its device, and shard it for fsdp.

        Args:
            module: the model; every use of a weight must happen inside its forward.
            layers: its large submodules, which are sharded separately, so that their weights are gathered one at a time.
        """
        if not self.is_sharded:
            module.to(self.device)
            return
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import CPUOffloadPolicy, OffloadPolicy, fully_shard

        mesh = init_device_mesh(self.device.type, (self.world_size,))
        policy = CPUOffloadPolicy(pin_memory=self.device.type == "cuda") if self.offload else OffloadPolicy()
        for submodule in (*layers, module):
            fully_shard(submodule, mesh=mesh, offload_policy=policy)

    @contextmanager
    def gathered_for_evaluation(self, module: nn.Module) -> Iterator[None]:
        """Use a placed model outside its forward, for example to predict. All ranks must run the same layers, since the
        weights of a layer are gathered when it is reached."""
        if not self.is_sharded:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        assert isinstance(module, FSDPModule)
        module.unshard()
        try:
            yield
        finally:
            module.reshard()

    def all_reduce_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum the gradients over all ranks. A parameter that has no gradient on any rank keeps none. FSDP2 sums by itself."""
        if self.world_size == 1 or self.is_sharded:
            return
        has_grad = torch.tensor([p.grad is not None for p in parameters], dtype=torch.uint8, device=self.device)
        dist.all_reduce(has_grad, dist.ReduceOp.MAX)
        used = [p for p, is_used in zip(parameters, has_grad.tolist(), strict=True) if is_used]
        for parameter in used:
            if parameter.grad is None:  # this rank had no rows
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([cast(Tensor, p.grad) for p in used]):
            flat = torch.cat([grad.flatten() for grad in bucket])
            dist.all_reduce(flat)
            for grad, total in zip(bucket, flat.split([grad.numel() for grad in bucket]), strict=True):
                grad.copy_(total.view_as(grad))

    def all_reduce_sum(self, value: Tensor) -> Tensor:
        """Sum a 0-d tensor over the ranks."""
        if self.world_size > 1:
            dist.all_reduce(value)
        return value

    def broadcast_decision(self, decide: Callable[[], bool]) -> bool:
        """Call `decide` on the main process and return its result on all ranks."""
        if self.world_size == 1:
            return decide()
        decision = torch.tensor(int(self.is_main_process and decide()), device=self.device)
        dist.broadcast(decision, src=0)
        return bool(decision.item())

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.world_size > 1:
            dist.barrier()

    def broadcast_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The main process's numbers on all ranks. Decisions need this, since ranks may differ in the last digit."""
        values = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        if self.world_size > 1:
            dist.broadcast(values, src=0)
        return values.tolist()

    def gather_rows(self, rows: Tensor, rank_positions: Sequence[np.ndarray]) -> Tensor:
        """Gather the rows of all ranks, with gradient: (rows of this rank, ...) -> (rows of all, ...), in step order.

        Args:
            rank_positions: for each rank, the positions of its rows in the step.
        """
        if self.world_size == 1:
            return rows
        positions, num_rows = torch.from_numpy(rank_positions[self.rank]), sum(map(len, rank_positions))
        return cast(Tensor, _GatherRows.apply(rows, positions, num_rows))

    def gather_random_states(self) -> list[Tensor]:
        """The random states of all ranks, on every rank."""
        if self.world_size == 1:
            return [random_state(self.device)]
        state = random_state(self.device).to(self.device)
        states = [torch.empty_like(state) for _ in range(self.world_size)]
        dist.all_gather(states, state)
        return [state.cpu() for state in states]


class _GatherRows(torch.autograd.Function):
    """Puts the rows of all ranks into one tensor. The gradient of a row is the sum over all ranks."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, positions: Tensor, num_rows: int) -> Tensor:
        ctx.positions = positions.to(rows.device)
        gathered = rows.new_zeros(num_rows, *rows.shape[1:])
        gathered[ctx.positions] = rows
        dist.all_reduce(gathered)
        return gathered

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total[ctx.positions], None, None


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Group tensors in order into lists of one dtype and at most BUCKET_BYTES."""
    bucket: list[Tensor] = []
    bucket_bytes = 0
    for tensor in tensors:
        if bucket and (bucket_bytes + tensor.nbytes > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, bucket_bytes = [], 0
        bucket.append(tensor)
        bucket_bytes += tensor.nbytes
    if bucket:
        yield bucket


def select_device(requested: Device) -> torch.device:
    """The device of this process: a GPU if torch finds one, unless `requested` is 'cpu'."""
    if requested == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "the study requests a GPU, but torch finds none", fix="remove `device: cuda` from its `engine:`."
        )
    if requested == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def init_process_group(engine: Engine) -> ProcessGroup:
    """Join the process group that torchrun started, with gloo between CPUs and nccl between GPUs.

    Raises:
        UserError: more ranks than GPUs.
    """
    from accelerate import PartialState

    num_gpus = 0 if select_device(engine.device).type == "cpu" else torch.cuda.device_count()
    if 0 < num_gpus < engine.devices:
        raise UserError(
            f"the study requests {engine.devices} devices, but torch finds {num_gpus} GPUs",
            fix="lower `devices` in its `engine:`.",
        )
    PartialState(cpu=num_gpus == 0)  # also selects this rank's GPU
    return current_process_group(engine)


def current_process_group(engine: Engine) -> ProcessGroup:
    """The process group of this process, or a group of one before `init_process_group`."""
    device = select_device(engine.device)
    if not dist.is_available() or not dist.is_initialized():
        return ProcessGroup(device=device, offload=engine.offload)
    return ProcessGroup(dist.get_rank(), dist.get_world_size(), device, engine.strategy, engine.offload)


def assign_rows_to_ranks(units: np.ndarray, lengths: np.ndarray, world_size: int) -> list[np.ndarray]:
    """For each rank, the sorted positions of its rows of a step. Units stay whole; starting with the longest, each unit goes
    to the rank with the fewest tokens. If there are fewer units than ranks, some ranks get no rows.

    Args:
        units: (rows,) unit of each row; rows of a unit are adjacent.
        lengths: (rows,) tokens.
    """
    starts = np.flatnonzero(np.diff(units, prepend=units[0] - 1))
    rows = np.split(np.arange(len(units)), starts[1:])
    tokens = np.add.reduceat(lengths, starts)
    rank_tokens = [0] * world_size
    rank_units: list[list[int]] = [[] for _ in range(world_size)]
    for unit in np.argsort(-tokens, kind="stable").tolist():
        rank = rank_tokens.index(min(rank_tokens))
        rank_units[rank].append(unit)
        rank_tokens[rank] += int(tokens[unit])
    empty = np.empty(0, dtype=np.int64)
    return [np.concatenate([empty, *(rows[unit] for unit in sorted(own))]) for own in rank_units]


def full_tensor(tensor: Tensor) -> Tensor:
    """The full tensor of a sharded one; other tensors are returned unchanged. All ranks must call this."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local_tensor(tensor: Tensor) -> Tensor:
    """This rank's shard of a sharded tensor; other tensors are returned unchanged."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Move a full tensor to the device of `like`, and shard it as `like` is sharded. All ranks must call this."""
    if not isinstance(like, DTensor):
        return tensor.to(like.device)
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


@torch.no_grad()
def move_to_cpu(module: nn.Module) -> None:
    """Move a model back to the CPU, as it was before `ProcessGroup.place_model`. All ranks must call this.

    The weights of a sharded model can be read then, but its forward cannot run. Shared weights stay shared."""
    moved: dict[int, tuple[nn.Parameter, nn.Parameter]] = {}
    for submodule in module.modules():
        # tensor by tensor, since module.to() and setattr of FSDP2 modules expect shards
        for name, parameter in list(submodule.named_parameters(recurse=False)):
            if isinstance(parameter, DTensor) or parameter.device.type != "cpu":
                if id(parameter) not in moved:  # keeps the old parameter too, so that its id is not used again
                    cpu_parameter = nn.Parameter(full_tensor(parameter.detach()).cpu(), parameter.requires_grad)
                    moved[id(parameter)] = parameter, cpu_parameter
                submodule._parameters[name] = moved[id(parameter)][1]
        for name, buffer in list(submodule.named_buffers(recurse=False)):
            submodule._buffers[name] = full_tensor(buffer).cpu()


def random_state(device: torch.device) -> Tensor:
    """The state of torch's CPU generator, followed by that of the device's generator if it is a GPU."""
    cpu_state = torch.get_rng_state()
    return torch.cat([cpu_state, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else cpu_state


def set_random_state(state: Tensor, device: torch.device) -> None:
    size = len(torch.get_rng_state())
    torch.set_rng_state(state[:size].clone())
    if device.type == "cuda" and len(state) > size:
        torch.cuda.set_rng_state(state[size:].clone(), device)
