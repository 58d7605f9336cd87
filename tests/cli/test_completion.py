"""Tab in real shells: words that hold colons and equals signs, quotes, and names that a shell would obey."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm, command
from tests.cli.terminal import Terminal

OUTPUTS = "verifiers-outputs-ada-cli"
SHOW = {
    "bash": """bind -x '"\\C-g": printf "\\n<<%s>>\\n" "$READLINE_LINE"'\n""",
    "zsh": "show() { print -r -- $'\\n'\"<<$BUFFER>>\" }; zle -N show; bindkey '^G' show\n",
}
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
READY = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u -D; setopt noautomenu; "}


class Shell:
    """An interactive shell in which `vfm` completes; ctrl-g prints the line that stands there."""

    def __init__(self, kind: str, vfm: Vfm) -> None:
        bin_folder = vfm.folder / "bin"
        bin_folder.mkdir(exist_ok=True)
        program = bin_folder / "vfm"
        if not program.exists():
            program.symlink_to(Path(command()[0]).absolute())
        env = {**vfm.env("", {}), "HOME": str(vfm.folder), "HISTFILE": ""}
        env["PATH"] = f"{bin_folder}:{env['PATH']}"
        self.terminal = Terminal(START[kind], vfm.folder, env, size=(200, 50))
        script = vfm.folder / f"completion.{kind}"
        script.write_text(vfm("completion", kind).stdout)
        self.terminal.type(f"{READY[kind]}source {script}; {SHOW[kind]}".encode())
        self.terminal.type(b"echo RE''ADY\n")
        self.terminal.wait_for(b"READY")

    def __call__(self, line: str) -> str:
        """The line after Tab was pressed behind it."""
        self.terminal.written = b""
        self.terminal.type(f"\x15{line}\t\x07".encode())
        self.terminal.wait_for(b">>")
        found = re.findall(rb"<<(.*)>>", self.terminal.written)
        return str(found[-1].decode())


@pytest.fixture(scope="module", params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, used: Vfm) -> Iterator[Shell]:
    """A real shell, over a home with a run in it."""
    kind: str = request.param
    if shutil.which(kind) is None:
        pytest.skip(f"there is no {kind} here")
    folder = used.home / "volumes" / OUTPUTS / "odd"
    folder.mkdir(exist_ok=True)
    (folder / "a b$(touch HACKED)'\"`.txt").touch()
    (folder / "plain.txt").touch()
    (folder / "esc\x1b[31m").touch()
    shell = Shell(kind, used)
    yield shell
    shell.terminal.close()


@pytest.mark.parametrize(
    ("typed", "then"),
    [
        ("vfm ls verifiers-o", f"vfm ls {OUTPUTS}:"),
        (f"vfm ls {OUTPUTS}:ru", f"vfm ls {OUTPUTS}:runs/"),
        (f"vfm ls {OUTPUTS}:odd/pl", f"vfm ls {OUTPUTS}:odd/plain.txt "),
        (f"vfm get {OUTPUTS}:odd/pl", f"vfm get {OUTPUTS}:odd/plain.txt "),
        (f"vfm put /dev/null {OUTPUTS}:ru", f"vfm put /dev/null {OUTPUTS}:runs/"),
        (f"vfm ls '{OUTPUTS}:odd/pl", f"vfm ls '{OUTPUTS}:odd/plain.txt' "),
        (f'vfm ls "{OUTPUTS}:odd/pl', f'vfm ls "{OUTPUTS}:odd/plain.txt" '),
        (f"vfm ls {OUTPUTS}:nothing", f"vfm ls {OUTPUTS}:nothing"),
        ("vfm launch --set training.lear", "vfm launch --set training.learning_rate="),
        ("vfm launch --set model.dtype=bf", "vfm launch --set model.dtype=bfloat16 "),
        ("vfm launch --set vllm.enforce_eager=t", "vfm launch --set vllm.enforce_eager=true "),
        ("vfm launch --set=model.dtype=bf", "vfm launch --set=model.dtype=bfloat16 "),
        ("vfm launch --set training.environment=vf-w", "vfm launch --set training.environment=vf-wordle "),
        ("vfm comp", "vfm comp"),
        ("vfm compl", "vfm completion "),
    ],
)
def test_words_with_colons_and_equals_signs_are_completed(shell: Shell, typed: str, then: str) -> None:
    assert shell(typed) == then


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_name_is_inserted_so_that_the_shell_obeys_nothing_in_it(
    shell: Shell, used: Vfm, quote: str
) -> None:
    line = shell(f"vfm ls {quote}{OUTPUTS}:odd/a")
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {line.removeprefix('vfm ls ')}"],
        capture_output=True,
        text=True,
        cwd=used.folder,
        check=True,
    )
    assert words.stdout == f"{OUTPUTS}:odd/a b$(touch HACKED)'\"`.txt\n"
    assert not (used.folder / "HACKED").exists()


def test_a_name_that_no_line_can_hold_is_not_offered(shell: Shell) -> None:
    assert shell(f"vfm ls {OUTPUTS}:odd/e") == f"vfm ls {OUTPUTS}:odd/e"


def test_without_the_colon_among_its_breaks_bash_is_given_whole_words(used: Vfm) -> None:
    env = {"COMP_LINE": f"vfm ls {OUTPUTS}:ru", "COMP_WORD": f"{OUTPUTS}:ru", "COMP_WORDBREAKS": " \t\n=\"'"}
    assert used(**env, _VFM_COMPLETE="bash_complete").stdout == f"plain,{OUTPUTS}:runs/\n"
    env["COMP_WORDBREAKS"] += ":"
    assert used(**env, _VFM_COMPLETE="bash_complete").stdout == "plain,runs/\n"
