"""`vfm image build local` over a builder that speaks the stream and builds nothing."""

from __future__ import annotations

from tests.cli.conftest import Vfm

BUILDER = """
import sys
from remote.contract.errors import Hint, ImageError
from remote.output.emitter import Emitter

assert sys.argv[1:3] == ["--home", {home!r}], sys.argv
if "--where" in sys.argv:
    print("/images/local/bin/python")
    sys.exit()
emit = Emitter(None)
emit.phase("image", "started")
emit.say("image", "fetching")
emit.progress(120, 120, "packages")
if {fails}:
    emit.failure(ImageError("the registry cannot be reached", cause="timed out", hint=Hint("try again")))
    sys.exit(1)
emit.phase("image", "done")
"""


def _with_builder(vfm: Vfm, *, fails: bool) -> None:
    vfm.replace_image_builder(BUILDER.format(home=str(vfm.home), fails=fails))


def test_the_path_is_data_and_the_build_is_told_on_stderr(vfm: Vfm) -> None:
    _with_builder(vfm, fails=False)
    done = vfm("image", "build", "local")
    assert (done.returncode, done.stdout) == (0, "/images/local/bin/python\n")
    for told in ("▶ image\n", "[image] fetching\n", "120/120 packages\n", "✓ image"):
        assert told in done.stderr


def test_a_build_that_fails_exits_with_1_and_says_why(vfm: Vfm) -> None:
    _with_builder(vfm, fails=True)
    done = vfm("image", "build", "local")
    assert (done.returncode, done.stdout) == (1, "")
    for said in ("error: the registry cannot be reached", "cause: timed out", "hint:  try again"):
        assert said in done.stderr


def test_no_other_image_is_built(vfm: Vfm) -> None:
    assert vfm("image", "build", "moon").returncode == 2
