//! Patterns over the names of parameters: `*` stands for any characters, dots too, and `?` for one.

/// Whether `name` is one that `pattern` stands for, from its first character to its last.
pub fn is_match(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it has taken: all that is ever gone back to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether one of `patterns` stands for `name`.
pub fn is_any_match(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| is_match(pattern, name))
}

/// The place of the first of `patterns` that stands for none of `names`.
pub fn unmatched<'a>(
    patterns: &[String],
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    patterns.iter().position(|pattern| !names.clone().any(|name| is_match(pattern, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters_and_question_marks_for_one() {
        for (pattern, name) in [
            ("blocks.*", "blocks.0.attn.weight"),
            ("*", "fc1.bias"),
            ("*.bias", "fc1.bias"),
            ("fc?.weight", "fc1.weight"),
            ("*a*b", "xaab"),
            ("fc1.bias", "fc1.bias"),
            ("**", ""),
        ] {
            assert!(is_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("blocks.*", "block.0"),
            ("fc?.weight", "fc.weight"),
            ("fc1", "fc1.bias"),
            ("*.bias", "fc1.bias2"),
            ("", "a"),
            ("?", ""),
        ] {
            assert!(!is_match(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_stands_for_nothing_is_found() {
        let patterns = ["fc1.*".to_owned(), "fc9.*".to_owned()];
        assert_eq!(unmatched(&patterns, ["fc1.bias", "fc2.bias"].into_iter()), Some(1));
        assert_eq!(unmatched(&patterns[..1], ["fc1.bias"].into_iter()), None);
    }
}
