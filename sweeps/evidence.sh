#!/bin/sh
# Runs the sweeps that docs/evidence.md rests on, and writes that file anew:
#
#     sh sweeps/evidence.sh digits mnist1d
#
# Without names, every sweep in this folder whose data are there. Sweeps that are done are not run again; `esper sweep FILE --dry-run` says what
# one would cost.
set -eu
cd "$(dirname "$0")/.."
esper=${ESPER:-target/release/esper}
[ -x "$esper" ] || cargo build --release
fashion=
[ ! -d /usr/share/datasets/fashion-mnist ] || fashion=fashion
[ $# -gt 0 ] || set -- digits mnist1d cnn adapt hamlet $fashion
text=docs/evidence.md.new
mkdir -p docs
cat sweeps/evidence.md > "$text"
for name in "$@"; do
    # A choice or a static host that diverges is a cell that failed, and no reason to stop.
    "$esper" sweep "sweeps/$name.toml" --no-run-dirs --quiet || echo "some cells of $name failed" >&2
    {
        printf '\n## %s\n\n`esper sweep sweeps/%s.toml --no-run-dirs`, then `esper compare runs/sweeps/%s`:\n\n' \
            "$name" "$name" "$name"
        printf '```text\n'
        "$esper" compare "runs/sweeps/$name"
        # What a given host is held against is fine-tuning at the same cost: nobody can train it anew.
        baseline=static_flops
        [ "$name" != adapt ] || baseline=finetune
        printf '```\n\nAgainst the host that costs as much, `--baseline %s`:\n\n```text\n' "$baseline"
        "$esper" compare "runs/sweeps/$name" --baseline "$baseline" |
            sed '/^arm .* runs /,/^$/d; /^arm .* germinated /,/^$/d; /^chosen on validation data:/,$d'
        printf '```\n'
    } >> "$text"
done
mv "$text" docs/evidence.md
