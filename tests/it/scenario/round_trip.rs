//! What is written is what was meant.

use proptest::prelude::*;

use esper::scenario::{DATA, Optimizer, Override, Scenario, Sgd, TAMIYO, TRAIN, defaults};

use super::{
    LEAST, SHIPPED,
    keys::{KINDS, ROWS, set},
    parse,
};

fn assert_round_trip(scenario: &Scenario) {
    let text = scenario.to_toml();
    let again = parse(&text, "another_name.toml", &[]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&*again, scenario);
    assert_eq!(again.to_toml(), text);
    assert_eq!(again.digest(), scenario.digest());
    assert_eq!(&*scenario.resolve().expect("it is good"), scenario);
}

#[test]
fn shipped_scenarios_survive_being_written() {
    for (name, text) in SHIPPED {
        assert_round_trip(&parse(text, name, &[]).expect("it is good"));
    }
}

#[test]
fn every_allowed_value_survives_being_written() {
    let least = [(LEAST, ROWS)];
    for (base, rows) in least.iter().chain(KINDS) {
        for (key, _, taken, _) in *rows {
            for value in *taken {
                assert_round_trip(&set(base, key, value).expect("it is good"));
            }
        }
    }
}

#[test]
fn a_timetable_and_strings_with_quotes_survive_being_written() {
    let text = LEAST.replace("digits", "it's \\\"here\\\"\\\\there")
        + "
[train]
optimizer = { kind = \"sgd\", lr = 0.1, momentum = 0.9, nesterov = true }
schedule = { kind = \"step\", step_epochs = 7.5, warmup_epochs = 0.1 }
clip_norm = 1
[tamiyo]
policy = \"fixed\"
[[tamiyo.timetable]]
epoch = 3
action = \"germinate\"
site = \"hidden0\"
blueprint = \"residual_mlp\"
[[tamiyo.timetable]]
epoch = 9.25
action = \"graft\"
site = \"hidden0\"
";
    let scenario = parse(&text, "x.toml", &[]).expect("it is good");
    assert_eq!(scenario[DATA].source, "it's \"here\"\\there");
    assert_eq!(scenario[TAMIYO].timetable.len(), 2);
    assert_round_trip(&scenario);
}

#[test]
fn scenarios_made_in_rust_are_checked_too() {
    let mut scenario = defaults();
    scenario[TRAIN].clip_norm = Some(f64::NAN);
    scenario[DATA].batch = 0;
    let error = scenario.resolve().expect_err("neither is allowed");
    let keys: Vec<&str> = error.problems.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["data.batch", "train.clip_norm"]);
}

#[test]
fn a_digest_tells_scenarios_apart() {
    let digest = |text: &str| parse(text, "x.toml", &[]).expect("it is good").digest();
    assert_eq!(
        digest(LEAST),
        digest(&LEAST.replace("= ", "=     # said\n").replace("# said\n", ""))
    );
    assert_ne!(digest(LEAST), digest(&LEAST.replace("epochs = 30", "epochs = 31")));
}

/// The least scenario of any kind, and any few of its keys, each set to a value it takes alone.
fn some_overrides() -> impl Strategy<Value = (&'static str, Vec<Override>)> {
    let kinds = (0..=KINDS.len()).prop_map(|kind| match kind.checked_sub(1) {
        Some(kind) => KINDS[kind],
        None => (LEAST, ROWS),
    });
    kinds.prop_flat_map(|(base, own)| {
        let rows: Vec<_> = own.iter().chain(ROWS.iter().filter(|it| is_shared(it.0))).collect();
        let one = (0..rows.len(), any::<prop::sample::Index>()).prop_map(move |(row, pick)| {
            let (key, _, taken, _) = rows[row];
            Override::parse(&format!("{key}={}", pick.get(taken))).expect("it is TOML")
        });
        prop::collection::vec(one, 0..12).prop_map(move |overrides| (base, overrides))
    })
}

/// Whether scenarios of all kinds have the key.
fn is_shared(key: &str) -> bool {
    !key.starts_with("host.") && !key.starts_with("data.")
}

proptest! {
    #[test]
    fn any_good_scenario_survives_being_written((base, overrides) in some_overrides()) {
        // Values that are good alone can be at odds together; that is then said, not written.
        if let Ok(scenario) = parse(base, "least.toml", &overrides) {
            assert_round_trip(&scenario);
        }
    }

    #[test]
    fn reals_survive_being_written_to_the_last_bit(share in 1e-12_f64..0.8, lr in 1e-300_f64..1000.0) {
        let mut scenario = defaults();
        scenario[DATA].validation_share = share;
        scenario[TRAIN].optimizer = Optimizer::Sgd(Sgd {
            lr,
            ..Default::default()
        });
        assert_round_trip(&scenario);
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        which in 0..SHIPPED.len(),
        from in any::<prop::sample::Index>(),
        n_chars in 0_usize..12,
        put in "[a-z0-9_.=\"'\\[\\]{}#,\n\u{e9}\u{0}-]{0,8}",
    ) {
        let chars: Vec<char> = SHIPPED[which].1.chars().collect();
        let from = from.index(chars.len());
        let to = (from + n_chars).min(chars.len());
        let head: String = chars[..from].iter().collect();
        let tail: String = chars[to..].iter().collect();
        if let Err(error) = parse(&(head + &put + &tail), "broken.toml", &[]) {
            prop_assert!(!error.problems.is_empty());
            prop_assert!(error.to_string().starts_with("broken.toml:"));
        }
    }
}
