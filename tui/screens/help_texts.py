"""Help texts of the larger screens, in Markdown; F1 shows them beside the keys."""

from __future__ import annotations

RUNS = """\
# Runs

All runs of all experiments on all backends, newest first. The rows of the last session are shown at once; a
backend that is slow or signed out is named above the table and delays nothing.

| key | does |
|---|---|
| `Enter`, double click | open the run: phases, logs, charts, rollouts |
| `n` | new run: pick a config, change it in a form |
| `e` · `r` | edit this run's config and run it · run the same again |
| `E` | evaluate a training's best checkpoint |
| `p` | edit a failed run's config with the change that the hint proposes |
| `c` · `x` | stop it (it saves its state) · delete its files; both ask first |
| `d` · `v` | download its files · browse all volumes |
| `m` · `Space` · `M` | mark · mark and move down · mark all shown; actions then apply to the marked runs |
| `=` | compare the marked runs |
| `/` | filter as you type; `Enter` keeps it, `Escape` clears it, `↑` recalls earlier ones |
| `s` `>` · `<` · `S` | sort by the next column · the previous one · in reverse; or click a column's title |
| `D` | doctor: checks the setup |

**Filter.** Bare words match anywhere. `status:failed`, `env:wordle`, `model:qwen`, `exp:`, `backend:`,
`kind:`, `id:`, `config:`, `user:` match one field; commas separate alternatives (`status:failed,cancelled`);
`=` matches exactly. Numbers compare: `reward>0.5`, `step>=10`, `progress<50`, `cost<2`, `age<2h`,
`time>30m`, `eta<5m`. `-` in front negates; quotes keep spaces. All terms must match.

**Columns.** Progress shows steps, then the time left (`~3m`) or, of a run that is over, its duration (`3m`).
A dash means unknown or none: runs on this machine cost nothing. The cost of other runs is an estimate: the
time on a machine at the list price. Before a run that costs money starts, you confirm its price.
"""

RUN = """\
# A run

The line at the top shows the run's status, the timeline its phases. Leaving the screen does not stop the run.
After the loss of a machine the line names the present attempt and its cause; thin lines in the timeline are
earlier attempts. The cost is an estimate; Modal's bill is in the config pane.

| key | does |
|---|---|
| `1`…`6` | show a pane |
| `Tab` | the next visible pane |
| `z` | maximize this pane, or restore all |
| `\\|` | several panes side by side, or one |
| `T` | timeline as one line or as a chart |
| `!` | the next error in the log |
| `r` | run it again as it was |
| `e` | edit its config and run it |
| `E` | evaluate its best checkpoint; in the files, the one under the cursor |
| `p` | edit its config with the change that the hint proposes |
| `c` | stop it; it saves its state |
| `d` | download its files |
| `x` | delete its files |
| `M` | open the run's page at Modal, and show its address |

**Panes.** In all of them `/` filters, `Enter` keeps the filter, `Escape` clears it.

| pane | keys |
|---|---|
| logs | `s` one source or all · `f` follow · `F` filter on or off · `!` `@` next, previous error |
| | `Ctrl+F` search, `n` `N` next and previous hit, `h` list of hits · `Ctrl+G` go to a line or time |
| | `t` times · `w` wrap · `v` `y` select, copy · `Ctrl+S` save |
| charts | `←` `→` move the cursor of all charts · `↑` `↓` the next chart · `Enter` enlarge one |
| | `[` `]` smoothing · `y` log scale · `+` `-` `,` `.` zoom, pan · `0` all steps · `g` columns |
| rollouts | `[` `]` steps, `}` the newest · `o` best or worst first · `J` `K` scroll · `y` copy |
| system | `←` `→` cursor · `Enter` enlarge a chart |
| config | `o` only values that differ from the defaults · `y` copy as `key=value` |
| files | `Enter` open · `m` mark · `d` download · `t` folder sizes · `y` copy the path |
"""

LAUNCH = """\
# Launch

Choose a config at the left, edit it in the middle, check the plan at the right.

| key | does |
|---|---|
| `ctrl+l` | launch; if that costs money, you confirm the price first |
| `ctrl+s` | save as a new config; comments and layout are kept |
| `enter` | edit the field, or choose its next value |
| `←` `→` `space` | step through a field's choices |
| `0`–`9` | replace a number |
| `ctrl+r` | reset the field to the config's value |
| `R` | reset all fields; again to undo |
| `/` | search keys, help and values; `escape` clears |
| `c` | show only changed fields |
| `n` `N` | next, previous problem |
| `]` `[` | next, previous section |
| `f2` `f3` `f4` | configs, form, plan |
| `f5` `f6` | train or evaluate; on this machine or on Modal |
| `y` | copy the equivalent `vfm launch` command |
| `e` | show how each part of the memory was estimated |

The sign at the right of a value shows its source; the line below the fields spells it out:

| sign | source | the value is |
|---|---|---|
| `·` | default | the schema's default |
| `≡` | file | from the config file |
| `⇒` | model | from `model.overrides` for this environment |
| `⚙` | auto | chosen for the environment, the model or the machine |
| `✎` | you | typed by you |
| `✦` | hint | from a failed run's hint |
| `↻` | run | from the run that is run again |

Your edits are kept when you leave.
"""
