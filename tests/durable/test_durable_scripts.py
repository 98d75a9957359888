"""What a script submits is known by the name under which others import its module; where there is none, it is refused."""

import subprocess
import sys

import pytest

SHOP = """
import asyncio, sys
from pynenc_async import Pynenc

app = Pynenc("sqlite:///jobs.db", drain_seconds=0)

class NoMoneyError(Exception):
    pass

@app.task
async def bill(number: int) -> str:
    if number < 0:
        raise NoMoneyError(number)
    return f"billed {number}"

async def enqueue():
    for number in (1, -1):
        print((await bill.with_options(delay=0.01).submit(number)).invocation_id)

async def serve(good, bad):
    print(await app.get_invocation(good))
    try:
        await app.get_invocation(bad)
    except NoMoneyError:
        print("no money")
    print(bill.task_id)

if __name__ == "__main__":
    app.run(enqueue if len(sys.argv) == 1 else serve(*sys.argv[1:]))
"""


def python(folder, *arguments, text=None):
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pkg").mkdir()
    for file in ("shop.py", "pkg/shop.py"):
        (tmp_path / file).write_text(SHOP)
    (tmp_path / "pkg" / "__init__.py").touch()
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("script", "module"), [(["shop.py"], "shop"), (["-m", "pkg.shop"], "pkg.shop")])
def test_what_a_script_submits_is_run_by_whoever_imports_its_module(folder, script, module):
    serve = f"import sys; from {module} import app, serve; app.run(serve(*sys.argv[1:]))"
    assert said(python(folder, "-c", serve, *said(python(folder, *script)))) == [
        "billed 1",
        "no money",
        f"{module}.bill",
    ]


@pytest.mark.slow
def test_what_a_script_submits_is_run_by_the_same_script(folder):
    assert said(python(folder, "shop.py", *said(python(folder, "shop.py")))) == ["billed 1", "no money", "shop.bill"]


@pytest.mark.slow
def test_a_child_that_a_script_has_spawned_knows_the_tasks_by_the_same_names(tmp_path):
    (tmp_path / "shop.py").write_text(
        SHOP.partition("if __name__")[0]
        + """
def child():
    print(bill.task_id)

if __name__ == "__main__":
    import multiprocessing
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start()
    process.join()
"""
    )
    assert said(python(tmp_path, "shop.py")) == ["shop.bill"]


@pytest.mark.slow
def test_a_module_that_is_a_script_and_imported_as_well_defines_its_tasks_once(tmp_path):
    (tmp_path / "base.py").write_text("from pynenc_async import Pynenc\napp = Pynenc('sqlite:///jobs.db')\n")
    (tmp_path / "helper.py").write_text("import shop\n")
    (tmp_path / "shop.py").write_text(
        "from base import app\n@app.task\nasync def bill(): ...\nimport helper\nprint(*app.tasks)\n"
    )
    assert said(python(tmp_path, "shop.py")) == ["shop.bill", "shop.bill"]


TYPED = """
from pynenc_async import Pynenc, TaskDefinitionError
async def bill(): ...
for url, naming in (("sqlite:///jobs.db", {}), ("sqlite:///jobs.db", {"name": "billing"}), ("memory://", {})):
    try:
        print(Pynenc(url).task(**naming)(bill).task_id)
    except TaskDefinitionError as error:
        print(error)

"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [["-"], ["-i"]], ids=["standard input", "interactive"])
def test_without_a_name_that_others_could_know_an_app_with_a_store_refuses_a_task(tmp_path, how):
    text = f"exec({TYPED!r})\n" if how == ["-i"] else TYPED
    refused, *accepted = python(tmp_path, *how, text=text).stdout.splitlines()
    assert "@app.task(name='shop.bill')" in refused
    assert accepted == ["billing", "__main__.bill"]
