"""pynenc_async: an asyncio-native invocation runtime.

Everything public is importable from here.
"""

from pynenc_async.app import Pynenc
from pynenc_async.arguments import Arguments
from pynenc_async.call import Call
from pynenc_async.context import current_invocation
from pynenc_async.errors import (
    AppNotStartedError,
    ConcurrencyLimitError,
    ConfigurationError,
    CycleDetectedError,
    DirectCallError,
    InvalidTaskOptionsError,
    InvocationCancelledError,
    InvocationError,
    InvocationExpiredError,
    InvocationNotFinalError,
    InvocationNotFoundError,
    InvocationStatusError,
    InvocationTimeoutError,
    MiddlewareError,
    NotInWorkflowError,
    PynencError,
    QueueFullError,
    RefusedError,
    RemoteError,
    ResourceError,
    RetryError,
    SerializationError,
    StoreError,
    StreamTruncatedError,
    TaskDefinitionError,
    TriggerDefinitionError,
    WorkerCrashedError,
    WorkflowNondeterminismError,
)
from pynenc_async.execution.middleware import CallNext
from pynenc_async.execution.progress import Progress, report_progress
from pynenc_async.history import HistoryEntry
from pynenc_async.invocation.base import BaseInvocation, BaseInvocationGroup
from pynenc_async.invocation.cancellation import Cancellation, CancelOutcome
from pynenc_async.invocation.distributed import DistributedInvocation
from pynenc_async.invocation.group import DistributedInvocationGroup
from pynenc_async.invocation.reused import ReusedInvocation
from pynenc_async.invocation.synchronous import SynchronousInvocation, SynchronousInvocationGroup
from pynenc_async.limit import ConcurrencyControlType, Rate
from pynenc_async.options import OnDuplicate, OnLimit, RunsIn, TaskOptions, UniqueUntil
from pynenc_async.resource import Resource, ResourceScope, inject
from pynenc_async.scheduler.observers import Observation, TransitionEvent
from pynenc_async.schedules.fires import Fire, current_fire
from pynenc_async.schedules.schedule import Schedule
from pynenc_async.schedules.specs import Misfire, Overlap, ScheduleOptions
from pynenc_async.statistics import AppStatistics, LoopLag
from pynenc_async.status import InvocationStatus
from pynenc_async.task import Task
from pynenc_async.triggers.conditions import Condition
from pynenc_async.triggers.occurrence import Occurrence, TriggerEvent
from pynenc_async.triggers.options import Pass, TriggerOptions
from pynenc_async.triggers.trigger import Trigger
from pynenc_async.triggers.vocabulary import emitted, failed, reached, returned, succeeded

__version__ = "0.1.0"

__all__ = [
    "AppNotStartedError",
    "AppStatistics",
    "Arguments",
    "BaseInvocation",
    "BaseInvocationGroup",
    "Call",
    "CallNext",
    "CancelOutcome",
    "Cancellation",
    "ConcurrencyControlType",
    "ConcurrencyLimitError",
    "Condition",
    "ConfigurationError",
    "CycleDetectedError",
    "DirectCallError",
    "DistributedInvocation",
    "DistributedInvocationGroup",
    "Fire",
    "HistoryEntry",
    "InvalidTaskOptionsError",
    "InvocationCancelledError",
    "InvocationError",
    "InvocationExpiredError",
    "InvocationNotFinalError",
    "InvocationNotFoundError",
    "InvocationStatus",
    "InvocationStatusError",
    "InvocationTimeoutError",
    "LoopLag",
    "MiddlewareError",
    "Misfire",
    "NotInWorkflowError",
    "Observation",
    "Occurrence",
    "OnDuplicate",
    "OnLimit",
    "Overlap",
    "Pass",
    "Progress",
    "Pynenc",
    "PynencError",
    "QueueFullError",
    "Rate",
    "RefusedError",
    "RemoteError",
    "Resource",
    "ResourceError",
    "ResourceScope",
    "RetryError",
    "ReusedInvocation",
    "RunsIn",
    "Schedule",
    "ScheduleOptions",
    "SerializationError",
    "StoreError",
    "StreamTruncatedError",
    "SynchronousInvocation",
    "SynchronousInvocationGroup",
    "Task",
    "TaskDefinitionError",
    "TaskOptions",
    "TransitionEvent",
    "Trigger",
    "TriggerDefinitionError",
    "TriggerEvent",
    "TriggerOptions",
    "UniqueUntil",
    "WorkerCrashedError",
    "WorkflowNondeterminismError",
    "current_fire",
    "current_invocation",
    "emitted",
    "failed",
    "inject",
    "reached",
    "report_progress",
    "returned",
    "succeeded",
]
