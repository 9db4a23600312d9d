//! Sweeps that can not be: each is refused with status 2, its place and help, before anything is run.

use crate::sweep::{SCENARIO, desk};

/// What is wrong, and what is said of it.
const BAD: &[(&str, &str)] = &[
    ("[sweep]\nscenarios = []\n", "bad.toml:2:13: sweep.scenarios"),
    ("[sweep]\nscenarios = [\"small.toml\"]\narms = [\"of\"]\n", "did you mean `off`"),
    ("[sweep]\nscenarios = [\"small.toml\"]\narms = [\"graph\"]\n", "\"graph\""),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\narms = [\"off_longer\"]\n",
        "bad.toml:3:9: sweep.arms[0]",
    ),
    ("[sweep]\nscenarios = [\"small.toml\"]\nseeds = \"3..3\"\n", "`3..3` holds no seed"),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"run.epochs=\"]\n",
        "bad.toml:3:8: sweep.set[0]",
    ),
    ("[sweep]\nscenarios = [\"small.toml\"]\nset = [\"run.epoch=3\"]\n", "did you mean `epochs`"),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"run.seed=1,2\"]\n",
        "set by the sweep itself",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"run.epochs=2\", \"run.epochs=3\"]\n",
        "more than once",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nsearch = [\"run.epochs=normal(1,2)\"]\nsamples = 2\n",
        "no distribution",
    ),
    ("[sweep]\nscenarios = [\"small.toml\"]\nset = [\"limits.params_max=5\"]\n", "params_max"),
    ("[sweep]\nscenarios = [\"none.toml\"]\n", "none.toml"),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\ntune = [\"train.optimizer.lr=1,2\"]\ntune_seeds = \"0..2\"\n",
        "sweep.tune_seeds",
    ),
    ("[sweep]\nscenarios = [\"small.toml\"]\narms = [\"oracle\"]\n", "right for each task"),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\n[front]\nwidths = [0.0]\n",
        "bad.toml:4:11: front.widths[0]",
    ),
    ("[sweep]\nscenarios = [\"small.toml\", \"copy/small.toml\"]\n", "both called `small`"),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"train.optimizer.lr=1e-2\"]\n\
         tune = [\"train.optimizer={ kind = 'sgd' },{ kind = 'adam' }\"]\n",
        "bad.toml:4:9: sweep.tune[0]: `train.optimizer` and `train.optimizer.lr` set the same key",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"run.threads=2\"]\n",
        "bad.toml:3:8: sweep.set[0]: `run.threads` is set by the sweep itself",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\narms = [\"heuristic\", \"direct\"]\n\
         set = [\"kasmina.incubation=shadow,isolated\"]\n",
        "bad.toml:4:8: sweep.set[0]: `kasmina.incubation` has several values, and the arm `direct`",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\narms = [\"heuristic\", \"random\"]\n\
         tune = [\"tamiyo.action_rate=0.1,0.2\"]\n",
        "bad.toml:4:9: sweep.tune[0]: `tamiyo.action_rate` has several values, and the arm `random`",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\n\
         set = [\"kasmina.train_min_steps=50,90\", \"kasmina.train_max_steps=60,100\"]\n",
        "bad.toml:3:41: sweep.set[1]: `small` with kasmina.train_max_steps=60, \
         kasmina.train_min_steps=90: kasmina.train_max_steps: must be at least \
         `kasmina.train_min_steps` (90), is 60\n  help: ",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nset = [\"limits.hosts_max=2\"]\n\
         tune = [\"run.replicas=1,2\"]\n",
        "bad.toml:3:8: sweep.set[0]: `small` with limits.hosts_max=2, run.replicas=2: ",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\ntune = [\"limits.params_max=5,100000\"]\n",
        "bad.toml:3:9: sweep.tune[0]: `small` with limits.params_max=5: limits.params_max",
    ),
    (
        "[sweep]\nscenarios = [\"small.toml\"]\nsamples = 3\n\
         search = [\"kasmina.train_max_steps=choice(5, 10)\"]\n",
        "bad.toml:4:11: sweep.search[0]: `small` with kasmina.train_max_steps=",
    ),
    ("[sweep]\nscenarois = [\"small.toml\"]\n", "did you mean `scenarios`"),
];

#[test]
fn bad_sweeps_are_refused_at_the_right_place() {
    let desk = desk();
    desk.write("copy/small.toml", SCENARIO);
    for (text, expected) in BAD {
        desk.write("bad.toml", text);
        let told = desk.esper(["sweep", "bad.toml", "--out", "s"]);
        assert_eq!(told.status, Some(2), "{text}\n{told:?}");
        let is_told = told.err.contains(expected);
        assert!(is_told, "{text}\n{expected}\n{}", told.err);
        assert!(!desk.path("s").exists(), "{text}: nothing was written");
    }
    for shard in ["0/2", "3/2", "1", "a/b"] {
        let told = desk.esper(["sweep", "small.toml", "--shard", shard]);
        assert_eq!(told.status, Some(2), "{told:?}");
    }
}
