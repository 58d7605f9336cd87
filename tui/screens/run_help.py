"""What F1 shows on the run screen."""

from __future__ import annotations

HELP = """\
# A run

The line at the top says how the run stands, the timeline below it what it has done and what it is doing.
Leaving changes nothing: the run goes on. A run that lost its machine says which attempt it is in, and why;
thin lines are what it did before. What it costs is an estimate; what Modal billed is in the config pane.

| key | does |
|---|---|
| `1`…`6` | a pane |
| `Tab` | the next pane that is seen |
| `z` | this pane alone, or all again |
| `\\|` | several panes, or one |
| `T` | timeline: one line or a chart |
| `!` | the next error in the log |
| `r` | run it again as it was |
| `e` | edit its config and run it |
| `E` | evaluate its best checkpoint; in the files, the one under the cursor |
| `p` | the same with the change that its hint proposes |
| `c` | stop it; it saves what it has |
| `d` | download its files |
| `x` | delete them |
| `M` | Modal's page of it: its address, and your browser |

**Panes.** All of them: `/` filters, `Enter` keeps the filter, `Escape` clears it.

| pane | keys |
|---|---|
| logs | `s` one source or all · `f` follow · `F` filter on and off · `!` `@` next, previous error |
| | `Ctrl+F` search, `n` `N` its hits, `h` a list of them · `Ctrl+G` to a line or time |
| | `t` times · `w` wrap · `v` `y` select, copy · `Ctrl+S` save |
| charts | `←` `→` one cursor over all · `↑` `↓` the next chart · `Enter` one alone |
| | `[` `]` smoothing · `y` log scale · `+` `-` `,` `.` zoom, pan · `0` all steps · `g` columns |
| rollouts | `[` `]` steps, `}` the newest · `o` best or worst first · `J` `K` scroll · `y` copy |
| system | `←` `→` cursor · `Enter` one chart alone |
| config | `o` only what differs from the defaults · `y` copy as `key=value` |
| files | `Enter` open · `m` mark · `d` download · `t` folder sizes · `y` copy the path |
"""
