"""Reads a Containerfile and writes the shell script that does what it says with overlay mounts and chroot.

There is no container engine on the machines that run these tests. The base image is played by this machine's own files:
/usr, and the running Python's prefix as /usr/local, both under an overlay, so that nothing of the machine is changed.
Only what our Containerfile uses is known; anything else is an error, never skipped.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

TEMPORARY = ("proc", "dev", "tmp", "etc", "root", "run", "var")


@dataclass
class Stage:
    """One FROM with what follows: (instruction, argument) in order."""

    base: str
    name: str
    steps: list[tuple[str, str]] = field(default_factory=list)


def read(path: Path) -> tuple[dict[str, str], list[Stage]]:
    """Return the global ARGs and the stages."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(base.strip(), name.strip() or str(len(stages))))
        elif stages:
            stages[-1].steps.append((word, rest.strip()))
        else:
            assert word == "ARG", f"{word} before the first FROM"
            name, _, value = rest.partition("=")
            arguments[name] = value
    return arguments, stages


@dataclass
class Build:
    """Writes the script. `context` is the folder copied from, `root` where the stages' file systems go."""

    context: Path
    root: Path
    python_prefix: str
    passed: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=lambda: ["set -euo pipefail"])

    def stage(self, stages: list[Stage], wanted: Stage, values: dict[str, str]) -> dict[str, str]:
        """Write what makes a stage with all it stands on; returns its configuration (env, user, entrypoint)."""
        earlier = {one.name: one for one in stages}
        image: dict[str, str] = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        if wanted.base in earlier:
            image = self.stage(stages, earlier[wanted.base], values)
            where = image["root"]
        else:
            assert wanted.base == "${BASE}", wanted.base
            where = str(self.root / wanted.name)
            self._base(where)
        image |= {"root": where, "workdir": image.get("workdir", "/")}
        local = dict(values)
        for word, rest in wanted.steps:
            getattr(self, f"_{word.lower()}")(rest, image, local, stages, values)
        return image

    def _base(self, where: str) -> None:
        q = shlex.quote
        self.lines += [
            f"mkdir -p {where}/usr {where}/opt {where}/src " + " ".join(f"{where}/{one}" for one in TEMPORARY),
            f"mkdir -p {where}.upper {where}.work {where}.local {where}.lwork",
            f"mount -t overlay overlay -o lowerdir=/usr,upperdir={where}.upper,workdir={where}.work {where}/usr",
            f"mount -t overlay overlay -o lowerdir={q(self.python_prefix)},upperdir={where}.local,"
            f"workdir={where}.lwork {where}/usr/local",
            f"for one in bin sbin lib lib64; do ln -s usr/$one {where}/$one; done",
            f"cp -rL /etc/ssl /etc/resolv.conf /etc/hosts /etc/nsswitch.conf {where}/etc/ 2>/dev/null || true",
            f"cp -L /etc/pip.conf {where}/etc/ 2>/dev/null || true",
            f"mount --bind /proc {where}/proc; mount --bind /dev {where}/dev; chmod 1777 {where}/tmp",
            # The prefix's own libpython before the distribution's, as in the base image.
            f"echo /usr/local/lib > {where}/etc/ld.so.conf; cat /etc/ld.so.conf >> {where}/etc/ld.so.conf",
            f"cp -rL /etc/ld.so.conf.d {where}/etc/; chroot {where} /sbin/ldconfig",
            f"for one in /opt/wheels /opt/pypi /opt/pypi-more; do if [ -d $one ]; then mkdir -p {where}$one; "
            f"mount --bind -o ro $one {where}$one; fi; done",
        ]

    def _inside(self, image: dict[str, str], command: list[str], more: dict[str, str]) -> str:
        keep = {key: value for key, value in image.items() if key.isupper()} | more
        pip = " ".join(f'{name}="${{{name}-}}"' for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS"))
        variables = " ".join(shlex.quote(f"{key}={value}") for key, value in keep.items())
        inner = shlex.join(["/bin/sh", "-c", f'cd {image["workdir"]} && exec "$@"', "sh", *command])
        return f"chroot {image['root']} env -i {pip} {variables} {inner}"

    def _run(self, rest: str, image: dict[str, str], local: dict[str, str], *_: object) -> None:
        self.lines.append(self._inside(image, ["/bin/sh", "-ec", rest], local))

    def _copy(
        self, rest: str, image: dict[str, str], local: dict[str, str], stages: list[Stage], values: dict[str, str]
    ) -> None:
        *sources, target = rest.split()
        origin = str(self.context)
        if sources[0].startswith("--from="):
            name = sources.pop(0).removeprefix("--from=")
            # Not through a shared stage: an engine builds it apart, and so do we, once.
            origin = self._built(name, stages, values)
        destination = (
            f"{image['root']}{target}" if target.startswith("/") else f"{image['root']}{image['workdir']}/{target}"
        )
        for source in sources:
            path = f"{origin}/{source.lstrip('/')}"
            self.lines.append(
                f"if [ -d {path} ]; then mkdir -p {destination}; cp -a --no-preserve=ownership {path}/. {destination}; "
                f"else mkdir -p {destination}; cp -a --no-preserve=ownership {path} {destination}; fi"
            )

    def _built(self, name: str, stages: list[Stage], values: dict[str, str]) -> str:
        where = str(self.root / name)
        if not any(line.startswith(f"mkdir -p {where}/usr ") for line in self.lines):
            # The lines of the stage that asks are already there; these come after them, and before its copy.
            self.stage(stages, next(one for one in stages if one.name == name), values)
        return where

    def _arg(self, rest: str, image: dict[str, str], local: dict[str, str], *_: object) -> None:
        name, _, default = rest.partition("=")
        local[name] = self.passed.get(name, default.strip('"'))

    def _env(self, rest: str, image: dict[str, str], local: dict[str, str], *_: object) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            image[name] = re.sub(r"\$\{(\w+)\}", lambda found: local[found[1]], value)

    def _label(self, rest: str, image: dict[str, str], local: dict[str, str], *_: object) -> None:
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            image[f"label {name}"] = re.sub(r"\$\{(\w+)\}", lambda found: local[found[1]], value)

    def _workdir(self, rest: str, image: dict[str, str], *_: object) -> None:
        image["workdir"] = rest
        self.lines.append(f"mkdir -p {image['root']}{rest}")

    def _user(self, rest: str, image: dict[str, str], *_: object) -> None:
        image["user"] = rest

    def _expose(self, rest: str, image: dict[str, str], *_: object) -> None:
        image["expose"] = rest

    def _entrypoint(self, rest: str, image: dict[str, str], *_: object) -> None:
        image["entrypoint"] = json.dumps(json.loads(rest))
        image.pop("cmd", None)

    def _cmd(self, rest: str, image: dict[str, str], *_: object) -> None:
        image["cmd"] = json.dumps(json.loads(rest))

    def run(self, image: dict[str, str], arguments: list[str], more: dict[str, str]) -> str:
        """Return the line that starts the image as an engine would, as its user, without any privilege."""
        words = [*json.loads(image["entrypoint"]), *(arguments or json.loads(image.get("cmd", "[]")))]
        user, _, group = image["user"].partition(":")
        drop = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        return self._inside(image, [*drop, "--bounding-set=-all", "--", *words], more)
