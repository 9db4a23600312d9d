//! What a key can hold, and which values of it are allowed.

use std::{fmt, ops::RangeInclusive};

use esper_nn::suggest::{clip, did_you_mean};

use super::file::{Content, Findings, Node, Origin};

/// Something a key can hold.
pub trait Value: Clone + 'static {
    /// Which values are allowed.
    type Rule;

    /// Takes the value of `node`, or says why not and keeps the value it had; whether it did. A list
    /// and a table take what is good of them.
    fn read(
        &mut self,
        node: &Node,
        key_origin: &Origin,
        rule: &Self::Rule,
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool;

    /// Looks at what a key that was left out leaves undone; whether all is well.
    fn read_nothing(&mut self, _path: &str, _table: &Origin, _found: &mut Findings<'_>) -> bool {
        true
    }

    /// The value as a scenario would write it at `path`; nothing, where the key is to be left out.
    fn content(&self, path: &str) -> Option<Content>;

    /// An allowed value as TOML.
    fn example(rule: &Self::Rule) -> String;
}

/// Real numbers between two bounds. Neither NaN nor infinity is in any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    low: f64,
    is_low_in: bool,
    high: f64,
    is_high_in: bool,
}

/// Strings of some form.
#[derive(Clone, Copy)]
pub struct Text {
    /// The form in words, after `must be`.
    pub form: &'static str,
    /// One of them.
    pub example: &'static str,
    /// Tells whether a string is one of them.
    pub is_one: fn(&str) -> bool,
    /// All of them, where there are few; else empty.
    pub all: &'static [&'static str],
}

/// Names and paths of some length, without control characters.
pub const PATH: Text = Text {
    form: "1 to 4096 bytes without control characters",
    example: "digits",
    is_one: |text| (1..=4096).contains(&text.len()) && !text.contains(char::is_control),
    all: &[],
};

/// Lowercase names.
pub const LOWERCASE: Text = Text {
    form: "1 to 64 lowercase letters, digits and `_`",
    example: "name",
    is_one: |text| {
        let is_allowed = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_';
        (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
    },
    all: &[],
};

/// The largest seed of a random stream: TOML's integers are signed.
pub const SEED_MAX: u64 = i64::MAX as u64;

/// Lists of some length of distinct or any values.
#[derive(Clone, Debug)]
pub struct List<R> {
    /// How many.
    pub len: RangeInclusive<usize>,
    /// Which.
    pub item: R,
    /// Whether no two may be the same.
    pub is_distinct: bool,
}

impl Interval {
    /// From `low` on, up to a bound still to be named.
    pub const fn from(low: f64) -> Self {
        Self { low, is_low_in: true, high: f64::MAX, is_high_in: true }
    }

    /// Above `low`, up to a bound still to be named.
    pub const fn above(low: f64) -> Self {
        Self { low, is_low_in: false, high: f64::MAX, is_high_in: true }
    }

    /// Up to and with `high`.
    pub const fn to(self, high: f64) -> Self {
        Self { high, is_high_in: true, ..self }
    }

    /// Up to and without `high`.
    pub const fn below(self, high: f64) -> Self {
        Self { high, is_high_in: false, ..self }
    }

    fn contains(&self, number: f64) -> bool {
        let is_low_enough = if self.is_high_in { number <= self.high } else { number < self.high };
        let is_high_enough = if self.is_low_in { self.low <= number } else { self.low < number };
        is_low_enough && is_high_enough
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (self.low, self.high);
        match (self.is_low_in, self.is_high_in) {
            (true, true) => write!(f, "{low} to {high}"),
            (true, false) => write!(f, "at least {low} and below {high}"),
            (false, true) => write!(f, "above {low} and at most {high}"),
            (false, false) => write!(f, "above {low} and below {high}"),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {$(
        impl Value for $number {
            type Rule = RangeInclusive<$number>;

            fn read(
                &mut self,
                node: &Node,
                _key_origin: &Origin,
                rule: &Self::Rule,
                help: &str,
                found: &mut Findings<'_>,
            ) -> bool {
                let Content::Integer(wide) = node.content else {
                    return refuse_type(node, "a whole number", help, found);
                };
                match Self::try_from(wide) {
                    Ok(number) if rule.contains(&number) => {
                        *self = number;
                        true
                    }
                    _ => {
                        let (low, high) = (rule.start(), rule.end());
                        let message = match wide {
                            i128::MAX => format!("must be {low} to {high}, is far above"),
                            i128::MIN => format!("must be {low} to {high}, is far below"),
                            _ => format!("must be {low} to {high}, is {wide}"),
                        };
                        found.refuse(&node.path, &node.origin, message, help);
                        false
                    }
                }
            }

            fn content(&self, _path: &str) -> Option<Content> {
                Some(Content::Integer(*self as i128))
            }

            fn example(rule: &Self::Rule) -> String {
                rule.start().to_string()
            }
        }
    )+};
}

whole_numbers!(u64, usize);

impl Value for f64 {
    type Rule = Interval;

    fn read(
        &mut self,
        node: &Node,
        _key_origin: &Origin,
        rule: &Interval,
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        let number = match node.content {
            Content::Real(number) => number,
            // Every bound is far below 2^53, where this stops being exact.
            Content::Integer(wide) => wide as Self,
            _ => return refuse_type(node, "a number", help, found),
        };
        if !rule.contains(number) {
            let message = format!("must be {rule}, is {number}");
            found.refuse(&node.path, &node.origin, message, help);
            return false;
        }
        *self = number;
        true
    }

    fn content(&self, _path: &str) -> Option<Content> {
        Some(Content::Real(*self))
    }

    fn example(rule: &Interval) -> String {
        let middle = if rule.contains(1.0) { 1.0 } else { (rule.low + rule.high) / 2.0 };
        format!("{middle:?}")
    }
}

impl Value for bool {
    type Rule = ();

    fn read(
        &mut self,
        node: &Node,
        _key_origin: &Origin,
        (): &(),
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        let Content::Flag(flag) = node.content else {
            return refuse_type(node, "true or false", help, found);
        };
        *self = flag;
        true
    }

    fn content(&self, _path: &str) -> Option<Content> {
        Some(Content::Flag(*self))
    }

    fn example((): &()) -> String {
        "true".to_owned()
    }
}

impl Value for String {
    type Rule = Text;

    fn read(
        &mut self,
        node: &Node,
        _key_origin: &Origin,
        rule: &Text,
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        let Content::Text(text) = &node.content else {
            return refuse_type(node, "a string", help, found);
        };
        if !(rule.is_one)(text) {
            let message = format!("must be {}, is \"{}\"", rule.form, clip(text));
            let help = match rule.all {
                [] => help.to_owned(),
                all => did_you_mean(text, "known", all),
            };
            found.refuse(&node.path, &node.origin, message, help);
            return false;
        }
        self.clone_from(text);
        true
    }

    fn content(&self, _path: &str) -> Option<Content> {
        Some(Content::Text(self.clone()))
    }

    fn example(rule: &Text) -> String {
        format!("\"{}\"", rule.example)
    }
}

impl<T: Value + Default> Value for Option<T> {
    type Rule = T::Rule;

    fn read(
        &mut self,
        node: &Node,
        key_origin: &Origin,
        rule: &T::Rule,
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        let mut value = T::default();
        let is_good = value.read(node, key_origin, rule, help, found);
        if is_good {
            *self = Some(value);
        }
        is_good
    }

    fn content(&self, path: &str) -> Option<Content> {
        self.as_ref()?.content(path)
    }

    fn example(rule: &T::Rule) -> String {
        T::example(rule)
    }
}

impl<T: Value + Default + PartialEq> Value for Vec<T> {
    type Rule = List<T::Rule>;

    fn read(
        &mut self,
        node: &Node,
        _key_origin: &Origin,
        rule: &List<T::Rule>,
        help: &str,
        found: &mut Findings<'_>,
    ) -> bool {
        let Content::List(nodes) = &node.content else {
            return refuse_type(node, "an array", help, found);
        };
        if !rule.len.contains(&nodes.len()) {
            let (low, high) = (rule.len.start(), rule.len.end());
            let message = format!("must have {low} to {high} entries, has {}", nodes.len());
            found.refuse(&node.path, &node.origin, message, help);
            return false;
        }
        // Entries that are wrong keep their places, so that rules across keys name the others right.
        let (mut items, mut n_wrong) = (Vec::with_capacity(nodes.len()), 0);
        for node in nodes {
            let mut item = T::default();
            if !item.read(node, &node.origin, &rule.item, help, found) {
                n_wrong += 1;
            } else if rule.is_distinct && items.contains(&item) {
                let message = format!("stands in the list twice: {}", node.describe());
                found.refuse(&node.path, &node.origin, message, "remove one of the two");
                n_wrong += 1;
            }
            items.push(item);
        }
        *self = items;
        n_wrong == 0
    }

    fn content(&self, path: &str) -> Option<Content> {
        let item = |(index, it): (usize, &T)| {
            let path = format!("{path}[{index}]");
            Some(Node::made(path.clone(), it.content(&path)?))
        };
        Some(Content::List(self.iter().enumerate().filter_map(item).collect()))
    }

    fn example(rule: &List<T::Rule>) -> String {
        format!("[{}]", T::example(&rule.item))
    }
}

/// Says that `node` is of the wrong type; never true.
pub(super) fn refuse_type(
    node: &Node,
    expected: &str,
    help: &str,
    found: &mut Findings<'_>,
) -> bool {
    let message = format!("must be {expected}, is {}", node.describe());
    found.refuse(&node.path, &node.origin, message, help);
    false
}
