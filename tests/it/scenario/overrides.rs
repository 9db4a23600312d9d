//! Keys set from outside the file.

use super::{LEAST, parse, with};
use esper::scenario::{Incubation, KASMINA, Optimizer, Override, Place, RUN, TAMIYO, TRAIN};

#[test]
fn values_are_toml_and_bare_words_are_strings() {
    let value = |text: &str| Override::parse(text).expect("it is good").value;
    assert_eq!(value("run.epochs=5"), toml::Value::Integer(5));
    assert_eq!(value("train.optimizer.lr = 1e-3"), toml::Value::Float(1e-3));
    assert_eq!(value("nissa.progress=false"), toml::Value::Boolean(false));
    assert_eq!(value("tamiyo.policy=off"), toml::Value::from("off"));
    assert_eq!(value("tamiyo.policy=\"off\""), toml::Value::from("off"));
    assert_eq!(value("data.source=../my data/x=1.csv"), toml::Value::from("../my data/x=1.csv"));
    assert_eq!(value("run.name=2026-01-01"), toml::Value::from("2026-01-01"));
    assert!(value("host.layers=[64,8,10]").is_array());
}

#[test]
fn what_is_no_override_is_refused() {
    let bad = [
        ("run.epochs", "has no value"),
        ("run.epochs=", "has no value"),
        ("=5", "not a key's path"),
        ("run..epochs=5", "not a key's path"),
        (".=5", "not a key's path"),
        ("tamiyo.timetable[0].epoch=5", "not a key's path"),
        ("run epochs=5", "not a key's path"),
        ("host.layers=[64,", "not a TOML value"),
        ("run.name=\"x", "not a TOML value"),
        ("train.optimizer={kind=adam}", "not a TOML value"),
    ];
    for (text, message) in bad {
        let error = Override::parse(text).expect_err(text);
        assert!(error.problems[0].message.contains(message), "{text}: {error}");
        assert!(error.problems[0].help.is_some(), "{text}");
        assert!(error.to_string().starts_with("--set "), "{error}");
    }
}

#[test]
fn overrides_take_the_place_of_the_file_and_the_last_wins() {
    let set = |text: &str| Override::parse(text).expect("it is good");
    let overrides = [
        set("run.epochs=7"),
        set("train.optimizer.kind=sgd"),
        set("train.optimizer.lr=0.5"),
        set("tamiyo.policy=off"),
        set("run.epochs=9"),
        set("kasmina={incubation=\"none\"}"),
    ];
    let scenario = parse(LEAST, "x.toml", &overrides).expect("it is good");
    assert_eq!(scenario[RUN].epochs, 9);
    assert_eq!(scenario[TAMIYO].policy, "off");
    assert_eq!(scenario[KASMINA].incubation, Incubation::None);
    assert!(matches!(&scenario[TRAIN].optimizer, Optimizer::Sgd(sgd) if sgd.lr == 0.5));
}

#[test]
fn a_wrong_override_is_named_and_not_the_file() {
    let cases = [
        ("run.epochs", "0", "run.epochs", "must be 1 to 1000000, is 0"),
        ("run.epoch", "5", "run.epoch", "no such key"),
        ("rum.epochs", "5", "rum", "no such section"),
        ("host.layers", "[64]", "host.layers", "2 to 64 entries, has 1"),
        ("train.optimizer", "{kind=\"sgd\",beta1=0.1}", "train.optimizer.beta1", "no such key"),
        ("kasmina.train_min_steps", "900", "kasmina.train_max_steps", "must be at least"),
        ("run", "5", "run", "must be a table"),
    ];
    for (set, value, key, message) in cases {
        let error = with(set, value).expect_err(set);
        let wrong = error.problems.iter().find(|it| it.key == key);
        let wrong = wrong.unwrap_or_else(|| panic!("no problem with {key}: {error}"));
        assert!(wrong.message.contains(message), "{error}");
        assert_eq!(wrong.place, Place::Override { key: set.to_owned() }, "{error}");
        assert!(error.to_string().contains(&format!("--set {set}: {key}: ")), "{error}");
    }
}

#[test]
fn an_override_can_not_run_through_a_value() {
    let error = with("run.epochs.max", "5").expect_err("epochs is a number");
    assert!(
        error.to_string().contains("`run.epochs` is the whole number 30, not a table"),
        "{error}"
    );
}

#[test]
fn an_override_made_in_rust_is_checked_like_one_that_is_read() {
    let set = Override { key: "run. epochs".to_owned(), value: toml::Value::Integer(3) };
    let error = parse(LEAST, "x.toml", &[set]).expect_err("it is no path");
    assert!(error.to_string().contains("not a key's path"), "{error}");
}
