"""The parts of one app, and how they are wired."""

import os
from collections.abc import Callable
from typing import Any, Final

from pynenc_async.configuration.app_options import DEFAULT_APP_ID, AppOptions
from pynenc_async.configuration.configuration import Configuration, Resolved
from pynenc_async.configuration.environment import is_forced_to_sync
from pynenc_async.execution.app_resources import AppResources
from pynenc_async.lifecycle import Shutdown
from pynenc_async.runtimes import dispatcher_for, is_durable
from pynenc_async.schedules.clockwork import Clockwork
from pynenc_async.store.base import Store
from pynenc_async.surroundings import Surroundings
from pynenc_async.task_registry import TaskRegistry
from pynenc_async.triggers.firing import LoopStage
from pynenc_async.triggers.inline import inline_stage
from pynenc_async.triggers.triggers import Triggers


class Wired:
    """Has the parts."""

    def __init__(
        self, configuration: Configuration, app_options: Resolved[AppOptions], new_store: Callable[[], Store] | None
    ) -> None:
        options = app_options.options
        self._configuration: Final = configuration
        self._app_options: Final = app_options
        self.url: Final = options.url
        self.app_id: Final = options.app_id or DEFAULT_APP_ID
        self.is_synchronous: Final = self.url.startswith("sync:") or is_forced_to_sync(os.environ)
        resources = AppResources()
        self._surroundings: Final = Surroundings(owner=self, resources=None if self.is_synchronous else resources)
        self._registry: Final = TaskRegistry(
            self,
            configuration.task_options,
            self._surroundings.surround,
            is_shared=is_durable(options, new_store) and not self.is_synchronous,
        )
        self._dispatcher: Final = dispatcher_for(
            self, f"app {self.app_id!r}", options, self._registry.by_any_id, new_store
        )
        self._clockwork: Final = Clockwork(self._dispatcher)
        self._shutdown: Final = Shutdown(self._dispatcher, resources, self._clockwork.stop)
        stage = (
            inline_stage(self._dispatcher, options.retain_count) if self.is_synchronous else LoopStage(self._dispatcher)
        )
        self.runtime: Final[Any] = stage.runtime
        self._triggers: Final = Triggers(stage)
