//! What a sweep varies: `key=value,value`, and `key=log_uniform(low, high)`, `key=uniform(low, high)` or
//! `key=choice(value, value)` for random search.

use std::collections::BTreeMap;

use esper_engine::scenario::Override;
use esper_kernels::random::hash_words;
use esper_nn::{
    rng::{draw_below, draw_unit},
    suggest::clip,
};

/// Values by key, as TOML.
pub(super) type Settings = BTreeMap<String, String>;

/// A key with the values it takes in turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub key: String,
    /// As TOML, in the order in which they were written.
    pub values: Vec<String>,
}

/// A key with what its values are drawn from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draw {
    pub key: String,
    pub from: Distribution,
}

/// What a value is drawn from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Distribution {
    Uniform { low: f64, high: f64 },
    LogUniform { low: f64, high: f64 },
    Choice(Vec<String>),
}

/// What is wrong with an axis, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AxisError {
    pub message: String,
    pub help: String,
}

const AXIS_HELP: &str = "for example `train.optimizer.lr=1e-3,3e-3`";
const DRAW_HELP: &str = "for example `train.optimizer.lr=log_uniform(1e-4, 1e-1)` or `host.layers=choice([64,8,10], [64,16,10])`";

impl Axis {
    /// Reads `key=value,value`.
    pub fn parse(text: &str) -> Result<Self, AxisError> {
        let (key, values) = split_key(text, AXIS_HELP)?;
        Ok(Self { values: read_values(&key, values, AXIS_HELP)?, key })
    }

    /// Every combination of a value of each axis, the last axis fastest.
    pub fn grid(axes: &[Self]) -> Vec<Settings> {
        axes.iter().fold(vec![Settings::new()], |settings, axis| {
            let with = |settings: &Settings, value: &String| {
                let mut settings = settings.clone();
                settings.insert(axis.key.clone(), value.clone());
                settings
            };
            settings
                .iter()
                .flat_map(|settings| axis.values.iter().map(move |value| with(settings, value)))
                .collect()
        })
    }
}

impl Draw {
    /// Reads `key=log_uniform(low, high)`, `key=uniform(low, high)` or `key=choice(value, value)`.
    pub fn parse(text: &str) -> Result<Self, AxisError> {
        let (key, from) = split_key(text, DRAW_HELP)?;
        let refuse = |message: String| AxisError { message, help: DRAW_HELP.to_owned() };
        let call = from.strip_suffix(')').and_then(|it| it.split_once('('));
        let Some((name, arguments)) = call else {
            return Err(refuse(format!("`{}` is no distribution", clip(from))));
        };
        let from = match name.trim() {
            "choice" => Distribution::Choice(read_values(&key, arguments, DRAW_HELP)?),
            name @ ("uniform" | "log_uniform") => {
                let bounds: Option<Vec<f64>> =
                    arguments.split(',').map(|it| it.trim().parse().ok()).collect();
                let Some([low, high]) = bounds.as_deref() else {
                    return Err(refuse(format!("`{name}` takes two numbers")));
                };
                let (low, high) = (*low, *high);
                if !(low.is_finite() && high.is_finite() && low < high) {
                    return Err(refuse(format!("`{name}` needs a lower and then a higher bound")));
                }
                if name == "uniform" {
                    Distribution::Uniform { low, high }
                } else if 0.0 < low {
                    Distribution::LogUniform { low, high }
                } else {
                    return Err(refuse("`log_uniform` needs bounds above 0".to_owned()));
                }
            }
            name => return Err(refuse(format!("`{}` is no distribution", clip(name)))),
        };
        Ok(Self { key, from })
    }

    /// Sample number `sample` of every one of `draws`: the same for the same `seed`.
    pub fn sample(draws: &[Self], seed: u64, sample: u64) -> Settings {
        let value = |(place, draw): (usize, &Self)| {
            // Of a key of its own, so that another draw more leaves these as they were.
            let stream = hash_words(&[seed, place as u64]);
            let value = match &draw.from {
                Distribution::Uniform { low, high } => {
                    float(low + draw_unit(stream, sample) * (high - low))
                }
                Distribution::LogUniform { low, high } => {
                    float((low.ln() + draw_unit(stream, sample) * (high / low).ln()).exp())
                }
                Distribution::Choice(values) => {
                    values[draw_below(stream, sample, values.len() as u64) as usize].clone()
                }
            };
            (draw.key.clone(), value)
        };
        draws.iter().enumerate().map(value).collect()
    }
}

/// A number as TOML, to four digits: no result hangs on the fifth, and names stay readable.
fn float(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().expect("it was just written");
    format!("{rounded:?}")
}

fn split_key<'a>(text: &'a str, help: &str) -> Result<(String, &'a str), AxisError> {
    let refuse = |message: String| AxisError { message, help: help.to_owned() };
    let (key, values) =
        text.split_once('=').ok_or_else(|| refuse(format!("`{}` has no `=`", clip(text))))?;
    if values.trim().is_empty() {
        return Err(refuse(format!("`{}` has no values", clip(key))));
    }
    Ok((key.trim().to_owned(), values.trim()))
}

fn read_values(key: &str, values: &str, help: &str) -> Result<Vec<String>, AxisError> {
    let mut found: Vec<String> = Vec::new();
    for value in split_list(values) {
        let item = Override::parse(&format!("{key}={value}")).map_err(|error| AxisError {
            message: error
                .problems
                .first()
                .map_or_else(|| error.to_string(), |it| it.message.clone()),
            help: help.to_owned(),
        })?;
        let value = item.value.to_string();
        if found.contains(&value) {
            let message = format!("`{}` is there twice", clip(&value));
            return Err(AxisError { message, help: "name every value once".to_owned() });
        }
        found.push(value);
    }
    Ok(found)
}

/// The parts of `text` between commas that are in no bracket and no string.
fn split_list(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, letter) in text.char_indices() {
        match (letter, quote) {
            (_, Some(open)) => quote = (letter != open).then_some(open),
            ('"' | '\'', None) => quote = Some(letter),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                parts.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[begin..].trim());
    parts
}

/// Reads seeds: `0..30`, `3` or `1,4,10..12`.
pub(super) fn parse_seeds(text: &str) -> Result<Vec<u64>, String> {
    const SEEDS_MAX: usize = 100_000;

    let mut seeds = Vec::new();
    for part in text.split(',').map(str::trim) {
        let range = match part.split_once("..") {
            Some((from, to)) => from.trim().parse().ok().zip(to.trim().parse().ok()),
            None => part.parse::<u64>().ok().and_then(|it| Some((it, it.checked_add(1)?))),
        };
        let Some((from, to)) = range else {
            return Err(format!("`{}` is neither a seed nor a range of seeds", clip(part)));
        };
        if to <= from {
            return Err(format!("`{}` holds no seed", clip(part)));
        }
        if (SEEDS_MAX as u64) < to - from || SEEDS_MAX < seeds.len() + (to - from) as usize {
            return Err(format!("more than {SEEDS_MAX} seeds"));
        }
        seeds.extend(from..to);
    }
    let mut sorted = seeds.clone();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("seed {} is there twice", pair[0])),
        None => Ok(seeds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml_and_commas_within_brackets_and_strings_are_theirs() {
        let axis = Axis::parse(r#"host.layers=[64,8,10],[64,16,10]"#).unwrap();
        assert_eq!(axis.values, ["[64, 8, 10]", "[64, 16, 10]"]);
        let axis = Axis::parse(r#"data.source="a,b",digits"#).unwrap();
        assert_eq!(axis.values, [r#""a,b""#, r#""digits""#]);
        assert_eq!(Axis::parse("train.optimizer.lr = 1e-3, 3e-3").unwrap().values.len(), 2);
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let axes = [Axis::parse("a.b=1,2").unwrap(), Axis::parse("c.d=x,y,z").unwrap()];
        let grid = Axis::grid(&axes);
        assert_eq!(grid.len(), 6);
        assert_eq!(grid[1]["c.d"], "\"y\"");
        assert_eq!(Axis::grid(&[]), [Settings::new()]);
    }

    #[test]
    fn what_is_no_axis_is_refused_with_what_to_write() {
        for text in ["train.optimizer.lr", "train.optimizer.lr=", "a b=1", "a.b=1,1", "a.b=1,,2"] {
            let error = Axis::parse(text).unwrap_err();
            assert!(!error.message.is_empty() && !error.help.is_empty(), "{text}: {error:?}");
        }
        for text in ["a.b=normal(0,1)", "a.b=uniform(2,1)", "a.b=log_uniform(0,1)", "a.b=1,2"] {
            assert!(Draw::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn samples_are_in_range_spread_and_the_same_for_the_same_seed() {
        let draws = [
            Draw::parse("a.lr=log_uniform(1e-4, 1e-1)").unwrap(),
            Draw::parse("a.n=choice(1, 2, 3)").unwrap(),
        ];
        let rates: Vec<f64> =
            (0..200).map(|at| Draw::sample(&draws, 7, at)["a.lr"].parse().unwrap()).collect();
        assert!(rates.iter().all(|rate| (1e-4..=1e-1).contains(rate)));
        let n_small = rates.iter().filter(|rate| **rate < 10_f64.powf(-2.5)).count();
        assert!((70..130).contains(&n_small), "half of them in the lower half: {n_small}");
        assert_eq!(Draw::sample(&draws, 7, 3), Draw::sample(&draws, 7, 3));
        assert_ne!(Draw::sample(&draws, 7, 3), Draw::sample(&draws, 8, 3));
    }

    #[test]
    fn seeds_are_single_numbers_and_ranges() {
        assert_eq!(parse_seeds("0..3").unwrap(), [0, 1, 2]);
        assert_eq!(parse_seeds("7, 1..3").unwrap(), [7, 1, 2]);
        for text in ["", "3..3", "5..2", "a", "1,1", "0..2,1", "-1", "0..1000000000000"] {
            assert!(parse_seeds(text).is_err(), "{text}");
        }
    }
}
