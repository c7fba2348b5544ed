"""The WorkQueue agent, named as the spec names it."""

from ipvm_queue.queue.agents import Agents, establish
from ipvm_queue.queue.desk import Desk, Stores
from ipvm_queue.queue.gate import Gate
from ipvm_queue.queue.grants import Grants
from ipvm_queue.queue.proofs import Proofs
from ipvm_queue.queue.push import WorkQueue
from ipvm_queue.queue.requests import Request, Stall

__all__ = ["Agents", "Desk", "Gate", "Grants", "Proofs", "Request", "Stall", "Stores", "WorkQueue", "establish"]
