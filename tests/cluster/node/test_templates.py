"""Templates for the imports pods ask for: which programs fork from which, what they find, when one is made anew."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.node import forkserver, preload
from cluster.node.forkserver import CannotFork, ForkServer
from cluster.node.preload import PreloadError, Program, modules_of, program_of, template_for
from cluster.node.process import Command, Process
from tidegate.process import tasks

SHOW = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "path": sys.path[:2], "name": __name__, "loaded": "heavy" in sys.modules,
    "files": sorted(int(fd) for fd in os.listdir("/proc/self/fd")), "env": dict(os.environ),
}))
"""

PROGRAMS = [
    (["python", "-m", "app", "a"], Program("module", ("app", "a"))),
    (["python3", "-u", "-m", "app"], Program("module", ("app",))),
    (["python", "serve.py", "--port", "1"], Program("script", ("serve.py", "--port", "1"))),
    (["python", "-c", "print()"], Program("code", ("print()",))),
    (["python", "-O", "-m", "app"], None),
    (["python", "-X", "dev", "app.py"], None),
    (["python", "-m"], None),
    (["python", "-"], None),
    (["python"], None),
]


@pytest.mark.parametrize(("argv", "program"), PROGRAMS)
def test_which_command_lines_can_be_forked(argv: list[str], program: Program | None) -> None:
    assert program_of(argv) == program


@pytest.mark.parametrize(
    ("text", "modules"),
    [("torch", ("torch",)), ("torch, numpy", ("torch", "numpy")), ("a.b c a.b", ("a.b", "c")), ("none", ()), ("", ())],
)
def test_the_annotation(text: str, modules: tuple[str, ...]) -> None:
    assert modules_of(text) == modules


@pytest.mark.parametrize("text", ["torch;rm", "../x", "a..b", "1a", "import os", " ".join(f"m{n}" for n in range(33))])
def test_a_bad_annotation_names_itself_and_the_word(text: str) -> None:
    if text == "import os":
        assert modules_of(text) == ("import", "os"), "words are modules, they are never evaluated"
        return
    with pytest.raises(PreloadError, match=r"^tidegate\.dev/preload: "):
        modules_of(text)


def test_variables_that_imports_read_are_part_of_a_template() -> None:
    def template(**env: str) -> preload.Template:
        return template_for("python", ["torch"], env)

    assert template(OMP_NUM_THREADS="1") != template(OMP_NUM_THREADS="2")
    assert template(PYTHONHASHSEED="1") != template()
    assert template(PORT="1", PYTHONPATH="/a", PYTHONUNBUFFERED="1") == template(PORT="2")
    assert template(HF_TOKEN="a") == template(), "a template is remembered in a file"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the search path of every interpreter that inherits our environment, by a module path file."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "heavy.py").write_text("LOADED = 1\n")
    # Templates get no PYTHONPATH; LIBRARY is read by the interpreter below.
    interpreter = tmp_path / "python-with-library"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    monkeypatch.setattr(forkserver, "PREPARE_DELAY_S", 0.0)
    monkeypatch.setattr(forkserver, "READY_TIMEOUT_S", 90.0)
    return folder


@pytest.fixture
async def server(tmp_path: Path, library: Path) -> AsyncIterator[ForkServer]:
    made = ForkServer([], str(tmp_path / "node"), limit=2)
    task = tasks.spawn(made.run(), "forkserver")
    yield made
    await tasks.cancel(task)


def command(tmp_path: Path, *words: str, modules: str = "heavy", env: Mapping[str, str] | None = None) -> Command:
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    python = str(tmp_path / "python-with-library")
    return Command([python, *words], dict(env or {}), str(tmp_path), out, out, modules_of(modules))


async def forked(server: ForkServer, one: Command) -> Process:
    """Ask until the template is there."""
    async with asyncio.timeout(90):  # some imports take long where all is slow
        while True:
            try:
                return await server.fork(one)
            except CannotFork as error:
                assert "is being prepared" in str(error)
                await asyncio.sleep(0.01)


async def shown(server: ForkServer, tmp_path: Path, one: Command) -> dict[str, Any]:
    process = await forked(server, one)
    async with asyncio.timeout(60):
        assert await process.ended == 0, (tmp_path / "out").read_text()
    os.close(one.stdout)
    return json.loads((tmp_path / "out").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["module", "script", "code"])
async def test_every_kind_of_program_finds_what_it_would_find_alone(
    server: ForkServer, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "shows").mkdir()
    (tmp_path / "shows" / "app.py").write_text(SHOW)
    (tmp_path / "app.py").write_text(SHOW)
    words = {"module": ["-m", "app"], "script": ["shows/app.py"], "code": ["-c", SHOW]}[kind]
    found = await shown(server, tmp_path, command(tmp_path, *words, "x", env={"PYTHONPATH": "/own", "A": "1"}))
    assert found["loaded"], "the import is done already"
    assert found["name"] == "__main__"
    assert found["argv"][1:] == ["x"]
    first = {"module": str(tmp_path), "script": str(tmp_path / "shows"), "code": ""}[kind]
    assert found["path"] == [first, "/own"]
    assert found["env"] == {"PYTHONPATH": "/own", "A": "1"}
    assert len(found["files"]) == 4, "only stdio and the descriptor that listed them"


SECRET = "correct-horse-battery-staple"
LOOKS = """
import json, os, tempfile, time
wanted = bytes(byte ^ 1 for byte in bytes.fromhex(os.environ["WANTED"]))
found, memory = 0, open("/proc/self/mem", "rb", 0)
for line in open("/proc/self/maps"):
    area, rights = line.split()[:2]
    first, last = (int(end, 16) for end in area.split("-"))
    if rights[0] == "r" and "[v" not in line:
        try:
            memory.seek(first)
            found += memory.read(last - first).count(wanted)
        except OSError:
            pass
own = open("/proc/self/environ").read()
zone, folder = time.tzname[0], tempfile.gettempdir()
print(json.dumps({"found": found, "folder": folder, "zone": zone, "of_the_node": "OF_NODE" in own}))
"""


@pytest.mark.slow
async def test_a_program_finds_nothing_of_another_ones_or_the_nodes_variables_in_its_memory(
    server: ForkServer, tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_NODE", "hidden")
    (library / "heavy.py").write_text("import tempfile\nLOADED = tempfile.gettempdir()\n")
    wanted = bytes(byte ^ 1 for byte in SECRET.encode()).hex()
    for before in ({"TOKEN": SECRET}, {"A": "1"}):
        await (await forked(server, command(tmp_path, "-c", "pass", env=before))).ended
        env = {"WANTED": wanted, "TMPDIR": str(tmp_path), "TZ": "Asia/Tokyo"}
        found = await shown(server, tmp_path, command(tmp_path, "-c", LOOKS, env=env))
        assert found == {"found": 1, "folder": str(tmp_path), "zone": "JST", "of_the_node": False}, "1: its own"


BEGAN = """
import json, os, time
import sys
sys.path.insert(0, os.environ["ROOT"])
from tidegate.process import start_clock
began, ran, way = start_clock.began()
pid = os.fork()
if not pid:
    os._exit(start_clock.began()[2] != "plain")
print(json.dumps({"way": way, "is_ordered": began < ran <= time.monotonic(), "of_child": os.waitpid(pid, 0)[1]}))
"""


@pytest.mark.slow
async def test_a_forked_program_knows_its_own_begin_and_its_children_theirs(server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(BEGAN)
    root = str(Path(__file__).parents[3])
    found = await shown(server, tmp_path, command(tmp_path, "app.py", env={"ROOT": root}))
    assert found == {"way": "forked", "is_ordered": True, "of_child": 0}


@pytest.mark.slow
async def test_a_template_is_made_anew_when_an_imported_file_changes_and_its_programs_live_on(
    server: ForkServer, tmp_path: Path, library: Path
) -> None:
    waits = command(tmp_path, "-c", "import signal; print('up', flush=True); signal.pause()")
    process = await forked(server, waits)
    old = (library / "heavy.py").stat().st_mtime_ns
    os.utime(library / "heavy.py", ns=(old, old + 10**9))
    (link, _) = server.template_of(waits)
    async with asyncio.timeout(60):
        while link.is_useful:
            await asyncio.sleep(0.02)
    assert "heavy.py changed" in link.stale
    assert not process.ended.done()
    again = await forked(server, command(tmp_path, "-c", "pass"))
    assert server.template_of(waits)[0] is not link
    async with asyncio.timeout(60):
        assert await again.ended == 0
        process.signal_group(9)  # type: ignore[arg-type]
        assert await process.ended == -9
        while not link.is_gone:
            await asyncio.sleep(0.01)


FLAWS = [
    ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True, name='ticker').start()\n",
     r"an import started a thread \(ticker\)"),
    ("raise RuntimeError('no such hardware')", "could not import heavy: RuntimeError: no such hardware"),
    ("import os\nos._exit(3)", "it ended"),
    ("import sys, types\nnumpy = types.ModuleType('numpy')\nnumpy.ones = None\nsys.modules['numpy'] = numpy\n",
     "a forked child failed its first computation"),
    ("import threading, time\ndef before_forks():\n"
     "    threading.Thread(target=time.sleep, args=(60,), daemon=True, name='late').start()\n",
     r"an import started a thread \(late\)"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "reason"), FLAWS)
async def test_a_template_that_cannot_be_forked_says_why_and_programs_start_plainly(
    server: ForkServer, tmp_path: Path, library: Path, text: str, reason: str
) -> None:
    (library / "heavy.py").write_text(text)
    one = command(tmp_path, "-c", "pass")
    with pytest.raises(CannotFork, match="is being prepared"):
        await server.fork(one)
    async with asyncio.timeout(60):
        while True:
            with pytest.raises(CannotFork) as found:
                await server.fork(one)
            if "is being prepared" not in str(found.value):
                break
            await asyncio.sleep(0.01)
    assert found.match(reason)
    os.close(one.stdout)


REHEARSALS = [
    ("MADE = []\ndef before_forks():\n    MADE.append(1)\n", [1]),
    ("MADE = []\ndef before_forks():\n    raise RuntimeError('no room')\n", []),
    ("MADE = []\ndef before_forks():\n    raise SystemExit(3)\n", []),
    ("MADE = [2]\nbefore_forks = None\n", [2]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("text", "made"), REHEARSALS)
async def test_what_a_module_makes_before_forks_is_there_in_every_child_and_its_failure_is_no_flaw(
    server: ForkServer, tmp_path: Path, library: Path, text: str, made: list[int]
) -> None:
    (library / "heavy.py").write_text(text)
    for _ in range(2):
        one = command(tmp_path, "-c", "import heavy, json; print(json.dumps(heavy.MADE))")
        assert await shown(server, tmp_path, one) == made


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_programs_of_a_template_with_torch_draw_their_own_random_numbers(
    server: ForkServer, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    code = "import json, random, numpy, torch; "
    code += (
        "print(json.dumps([random.random(), float(numpy.random.rand()), float(torch.rand(1, dtype=torch.float64))]))"
    )
    drawn = [await shown(server, tmp_path, command(tmp_path, "-c", code, modules="torch")) for _ in range(2)]
    assert all(one != other for one, other in zip(*drawn, strict=True)), drawn


@pytest.mark.slow
async def test_the_least_used_template_makes_room_and_a_restarted_node_has_the_others_again(
    server: ForkServer, tmp_path: Path, library: Path
) -> None:
    for name in ("json", "logging", "email"):
        await (await forked(server, command(tmp_path, "-c", "pass", modules=name))).ended
    kept = json.loads((tmp_path / "node" / "templates.json").read_text())
    assert [one["modules"] for one in kept] == [["logging"], ["email"]]
    another = ForkServer([], str(tmp_path / "node"), limit=2)
    task = tasks.spawn(another.run(), "another")
    async with asyncio.timeout(60):
        for name in ("logging", "email"):
            while True:
                try:
                    another.template_of(command(tmp_path, "-c", "pass", modules=name))
                    break
                except CannotFork:
                    await asyncio.sleep(0.01)
    await tasks.cancel(task)


async def test_a_module_that_the_program_brings_itself_is_not_taken_from_a_template(
    server: ForkServer, tmp_path: Path
) -> None:
    (tmp_path / "heavy.py").touch()
    with pytest.raises(CannotFork, match="may be another than the template's"):
        await server.fork(command(tmp_path, "-m", "app"))
    with pytest.raises(CannotFork, match="only plain Python programs"):
        await server.fork(Command(["sleep", "1"], {}, "/", 1, 2, ("heavy",)))


@pytest.mark.slow
async def test_limits_hold_in_a_forked_program(server: ForkServer, tmp_path: Path) -> None:
    text = "import json, resource; print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)))"
    one = command(tmp_path, "-c", text)
    limited = Command(one.argv, one.env, one.cwd, one.stdout, one.stderr, one.preload, {"RLIMIT_NOFILE": 77})
    assert await shown(server, tmp_path, limited) == [77, 77]
