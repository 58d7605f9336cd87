"""What F1 shows over the launch form."""

from __future__ import annotations

HELP = """\
# Launch

Pick a config at the left, change it in the middle, see at the right what will happen.

| key | does |
|---|---|
| `ctrl+l` | launch; where that costs money, the price is asked about first |
| `ctrl+s` | save as a new config; comments and layout stay |
| `enter` | edit the field, or take its next choice |
| `←` `→` `space` | step through choices |
| `0`–`9` | begin a number anew |
| `ctrl+r` | reset the field to what the config says |
| `R` | reset all; once more brings it back |
| `/` | search keys, help and values; `escape` clears |
| `c` | only what is changed |
| `n` `N` | next, previous problem |
| `]` `[` | next, previous section |
| `f2` `f3` `f4` | configs, form, plan |
| `f5` `f6` | train or evaluate; local or Modal |
| `y` | copy the command that launches the same |
| `e` | say how each part of the memory was estimated |

The sign at the right of a value says where it comes from; the line below the fields says it in full:

| sign | | the value is |
|---|---|---|
| `·` | default | nobody's: the schema's default |
| `≡` | file | the config file's |
| `⇒` | model | named for this environment in `model.overrides` |
| `⚙` | auto | set by itself, for the environment, the model or the machine |
| `✎` | you | typed by you |
| `✦` | hint | proposed by a failed run's hint |
| `↻` | run | that of the run that is run again |

What you typed is kept when you leave.
"""
