//! What must not pass the twin test, and what should. `examples/verdicts.rs` measures the same on many more runs.

#[path = "../../examples/verdicts.rs"]
#[expect(dead_code, reason = "the example prints tables besides")]
mod verdicts;

use verdicts::{Arena, Graft, count_passed, judge};

fn passed(arena: Arena, graft: Graft, n: u64) -> u64 {
    let passed = count_passed(arena, graft, n, |_| {});
    println!("{arena:?} {graft:?}: {passed} of {n} passed");
    passed
}

#[test]
fn two_hosts_without_a_seed_hardly_ever_differ_by_a_verdict() {
    // At 2.5 %, of 40 runs 5 or more pass with probability 0.003.
    for (arena, n) in [(Arena::Mlp, 40), (Arena::Cnn, 20), (Arena::Transformer, 12)] {
        assert!(passed(arena, Graft::Aa, n) <= 4, "{arena:?}");
    }
}

#[test]
fn what_does_nothing_or_nothing_any_more_never_passes() {
    for (arena, n) in [(Arena::Mlp, 20), (Arena::Cnn, 4), (Arena::Transformer, 4)] {
        assert_eq!(passed(arena, Graft::Noop, n), 0, "{arena:?}");
        assert!(passed(arena, Graft::Bump, n) <= 2, "{arena:?}");
    }
}

#[test]
fn a_useful_module_passes_in_nearly_every_run() {
    assert!(18 <= passed(Arena::Mlp, Graft::Useful, 20));
}

#[test]
fn a_frozen_random_module_passes_the_gate_figure_and_not_the_twin() {
    let n = 40;
    let verdicts: Vec<_> =
        (0..n).map(|seed| judge(Arena::Mlp.run(Graft::FrozenRandom, seed))).collect();
    let n_leant_on = verdicts.iter().filter(|it| it.looks[0].gate_gain > 0.0).count();
    let n_passed = verdicts.iter().filter(|it| it.has_passed).count();
    assert!(n_passed <= 6, "{n_passed} of {n} frozen random modules passed G5");
    assert!(3 * n / 4 <= n_leant_on as u64, "{n_leant_on} of {n} passed the gate figure");
}
