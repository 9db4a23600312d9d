//! What whoever registers a section may rely on.

use super::*;

/// A section of a stranger's.
#[derive(Clone, Debug, PartialEq)]
struct Census {
    every: u64,
    share: f64,
    name: String,
}

impl Default for Census {
    fn default() -> Self {
        Self { every: 1, share: 0.5, name: "nobody".to_owned() }
    }
}

impl Section for Census {
    const NAME: &'static str = "census";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.key("every", &mut self.every, 1..=1000);
        keys.key("share", &mut self.share, Interval::from(0.0).to(1.0));
        keys.key("name", &mut self.name, Text { example: "romans", ..PATH });
    }

    fn check(&self, rules: &mut Rules<'_, '_>) {
        rules.hold(
            self.every != 7 || self.share < 1.0,
            &["census.share", "census.every"],
            "must be below 1 where `every` is 7".to_owned(),
            "for example `share = 0.5`",
        );
    }

    fn of_file(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// Another, which must be written.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tax {
    rate: u64,
}

impl Section for Tax {
    const NAME: &'static str = "tax";

    fn keys(&mut self, keys: &mut impl Keys) {
        keys.required("rate", &mut self.rate, 1..=100);
    }
}

const CENSUS: Key<Census> = Key::new();
const TAX: Key<Tax> = Key::new();

/// `rate <= 50 every`.
fn check_tax(scenario: &Scenario, rules: &mut Rules<'_, '_>) {
    let most = 50 * scenario[CENSUS].every;
    rules.hold(
        scenario[TAX].rate <= most,
        &["tax.rate", "census.every"],
        format!("must be at most {most}"),
        "ask for less",
    );
}

fn sections() -> Sections {
    let mut sections = Sections::default();
    sections.add::<Census>().add::<Tax>().add_check(check_tax);
    sections
}

#[track_caller]
fn refused(text: &str, wanted: &str) {
    let error = sections().parse(text, "a.toml", &[]).expect_err(text);
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn a_section_of_ones_own_is_read_and_written_as_any_other() {
    let sets = [Override::parse("census.every=3").unwrap()];
    let scenario = sections().parse("[tax]\nrate = 9\n", "a.toml", &sets).unwrap();
    assert_eq!(scenario[CENSUS], Census { every: 3, share: 0.5, name: "a.toml".to_owned() });
    assert_eq!(scenario.get::<Tax>(), Some(&Tax { rate: 9 }));
    let written = "[census]\nevery = 3\nshare = 0.5\nname = \"a.toml\"\n\n[tax]\nrate = 9\n";
    assert_eq!(scenario.to_toml(), written);
    assert_eq!(sections().parse(written, "b.toml", &[]).unwrap(), scenario);
    assert_eq!(scenario.resolve().unwrap(), scenario);
}

#[test]
fn a_section_of_ones_own_is_refused_as_any_other() {
    let tax = "[tax]\nrate = 9\n";
    refused(
        &format!("{tax}[census]\nevry = 3\n"),
        "a.toml:4:1: census.evry: there is no such key in `census`\n  \
         help: did you mean `every`? keys of `census`: `every`, `share`, `name`",
    );
    refused(
        &format!("{tax}[census]\nevery = 0\n"),
        "a.toml:4:9: census.every: must be 1 to 1000, is 0\n  help: for example `every = 1`",
    );
    refused(
        &format!("{tax}every = 2\n"),
        "a.toml:3:1: tax.every: there is no such key in `tax`\n  \
         help: `every` is a key of `[census]`",
    );
    refused(
        "[cencus]\n",
        "a.toml:1:1: tax.rate: is required\n  help: for example `rate = 0`\n\
         a.toml:1:2: cencus: there is no such section\n  \
         help: did you mean `census`? sections: `census`, `tax`",
    );
    refused(
        &format!("{tax}[census]\nevery = 7\nshare = 1\n"),
        "a.toml:5:9: census.share: must be below 1 where `every` is 7\n  \
         help: for example `share = 0.5`",
    );
    refused("[tax]\nrate = 51\n", "a.toml:2:8: tax.rate: must be at most 50\n  help: ask for less");
}

#[test]
fn a_scenario_made_in_rust_is_checked_as_a_file_is() {
    let mut scenario = sections().scenario();
    scenario[CENSUS].every = 2000;
    scenario[TAX].rate = 0;
    let error = scenario.resolve().expect_err("neither is in range");
    assert_eq!(
        error.to_string(),
        "census.every: must be 1 to 1000, is 2000\n  help: for example `every = 1`\n\
         tax.rate: must be 1 to 100, is 0\n  help: for example `rate = 0`"
    );
    assert!(error.problems.iter().all(|it| it.place == Place::Made));
}

#[test]
fn keys_of_other_sections_are_read_by_their_path() {
    let scenario = sections().scenario();
    assert_eq!(scenario.value::<u64>("census.every"), Some(1));
    assert_eq!(scenario.text("census.name").as_deref(), Some("nobody"));
    assert_eq!(scenario.value::<f64>("census.every"), None, "it is of another type");
    assert_eq!(scenario.text("census.every"), None, "it is no text");
    for absent in ["census.age", "army.every", "census", ""] {
        assert_eq!(scenario.value::<u64>(absent), None, "{absent}");
    }
}

#[test]
fn a_section_is_added_once() {
    let mut twice = sections();
    twice.add::<Census>().add_all(&sections()).add_check(check_tax);
    assert_eq!(twice.names(), ["census", "tax"]);
    let error = twice.parse("[tax]\nrate = 51\n", "a.toml", &[]).expect_err("it is too much");
    assert_eq!(error.problems.len(), 1, "the rule too: {error}");
}

#[test]
#[should_panic(expected = "two sections are called [census]")]
fn two_sections_of_one_name_are_a_bug() {
    #[derive(Clone, Debug, Default, PartialEq)]
    struct Impostor;

    impl Section for Impostor {
        const NAME: &'static str = "census";

        fn keys(&mut self, _keys: &mut impl Keys) {}
    }

    sections().add::<Impostor>();
}

#[test]
#[should_panic(expected = "no plugin registered the section [tax]")]
fn a_section_that_nobody_registered_is_not_there() {
    let scenario = Sections::default().add::<Census>().scenario();
    assert_eq!(scenario.get::<Tax>(), None);
    assert_eq!(scenario.or_default::<Tax>(), Tax::default());
    _ = scenario[TAX].rate;
}
