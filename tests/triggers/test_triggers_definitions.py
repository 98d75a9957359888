"""Declaring triggers: what is listed, what is refused, what replaces what."""

import importlib

import pytest
from trigger_world import reporter, settled, worker

from pynenc_async import (
    InvalidTaskOptionsError,
    Pynenc,
    TriggerDefinitionError,
    emitted,
    failed,
    succeeded,
)


def test_a_trigger_is_listed_with_what_it_is():
    app = Pynenc()
    work = worker(app)
    reporter(app, succeeded(work), name="named")
    report = app.get_task("trigger_world.named")
    assert app.on(failed(work))(report) is report
    default = f"{report.task_id} on failed({work.task_id})"
    assert list(app.triggers) == ["named", default]
    trigger = app.triggers["named"]
    assert (trigger.name, trigger.task, trigger.condition) == ("named", report, succeeded(work))
    assert trigger.options.max_chain == 100
    assert repr(trigger) == f"<Trigger 'named': {report.task_id} on succeeded({work.task_id})>"


def test_wrong_definitions_say_what_is_wrong():
    app, other = Pynenc(), Pynenc()
    work = worker(app)

    @app.task
    async def needs(a, b):
        pass

    def on(condition, **options):
        app.on(condition, **options)(needs)

    with pytest.raises(TriggerDefinitionError, match=r"missing 2 required .* say with arguments="):
        on(succeeded(work))
    with pytest.raises(TriggerDefinitionError, match="unexpected keyword"):
        on(succeeded(work), arguments={"c": 1})
    with pytest.raises(TriggerDefinitionError, match="another app"):
        on(succeeded(worker(other)), arguments=(1, 2))
    with pytest.raises(TriggerDefinitionError, match="another app"):
        app.on(succeeded(work))(worker(other))
    with pytest.raises(TriggerDefinitionError, match="by= says how"):
        on(succeeded(work) | failed(work), by=str, arguments=(1, 2))
    with pytest.raises(TriggerDefinitionError, match="within= says how"):
        on(succeeded(work), within=1, arguments=(1, 2))
    on(succeeded(work), arguments=(1, 2))
    with pytest.raises(TriggerDefinitionError, match="of that name; give it another one with name="):
        on(succeeded(work), arguments=(3, 4))
    assert len(app.triggers) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("arguments", 5), ("name", ""), ("by", "key"), ("within", 0), ("within", "1"), ("max_keys", 0),
        ("max_chain", 0), ("max_chain", True), ("unknown", 1),
    ],
)  # fmt: skip
def test_wrong_options_are_named(option, value):
    with pytest.raises(InvalidTaskOptionsError, match=option):
        Pynenc().on(emitted("x"), **{option: value})


def test_a_module_that_is_reloaded_replaces_its_triggers(tmp_path, monkeypatch):
    (tmp_path / "reloaded_triggers.py").write_text(
        "from pynenc_async import succeeded\n"
        "from reloaded_app import app\n"
        "@app.task\n"
        "async def work(): ...\n"
        "@app.on(succeeded(work))\n"
        "@app.task\n"
        "async def follow(): ...\n"
    )
    (tmp_path / "reloaded_app.py").write_text("from pynenc_async import Pynenc\napp = Pynenc()\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("reloaded_triggers")
    [first] = module.app.triggers.values()
    importlib.reload(module)
    [second] = module.app.triggers.values()
    assert second is not first
    assert second.task is module.follow

    async def main():
        await module.work()
        await settled(module.app)
        return len(module.app.invocations(task=module.follow))

    assert module.app.run(main) == 1
