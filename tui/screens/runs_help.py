"""What F1 shows at home."""

from __future__ import annotations

HELP = """\
# Runs

Every run of every experiment, on every backend, newest first. What was known last is there at once; a
backend that is slow or signed out says so above the table and holds up nothing.

| key | does |
|---|---|
| `Enter`, double click | open the run: phases, logs, charts, rollouts |
| `n` | new run: pick a config, change it in a form |
| `e` · `r` | change this run's config and run it · run the same again |
| `E` | of a training: evaluate its best checkpoint |
| `p` | of a failed run: its config with the change that its hint proposes |
| `c` · `x` | stop it (it saves what it has) · delete its files; both ask first |
| `d` · `v` | download its files · browse all volumes |
| `m` · `Space` · `M` | mark · mark and go on · mark all shown; actions then take the marked runs |
| `=` | compare the marked runs |
| `/` | filter, as you type; `Enter` keeps it, `Escape` clears it, `↑` recalls earlier ones |
| `s` `>` · `<` · `S` | sort by the next column · the one before · the other way; or click a title |
| `D` | doctor: what is set up, what is missing |

**Filter.** Bare words match anywhere. `status:failed`, `env:wordle`, `model:qwen`, `exp:`, `backend:`,
`kind:`, `id:`, `config:`, `user:` look in one field; commas are alternatives (`status:failed,cancelled`);
`=` is exact. Numbers compare: `reward>0.5`, `step>=10`, `progress<50`, `cost<2`, `age<2h`, `time>30m`,
`eta<5m`. `-` in front negates; quotes keep blanks together. All terms must hold.

**Columns.** Progress shows steps, then what is left (`~3m`) or, of a run that is over, what it took (`3m`).
A dash means unknown, or nothing: runs on this machine cost nothing. What others cost is an estimate: the
time that they had a machine, at the list price. Before runs start that cost money, the price is asked about.
"""
