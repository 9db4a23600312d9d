//! Near misses.

/// Longer words are not compared: the comparison is quadratic.
const LEN_MAX_BYTES: usize = 64;

/// Least similarity of a suggestion, 0 to 1. At 0.5 `momentun` finds `momentum` and `lr_rate`
/// finds nothing.
const SIMILARITY_MIN: f64 = 0.5;

/// The word of `known` nearest to `word`, where one is near.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if LEN_MAX_BYTES < word.len() {
        return None;
    }
    let lower = word.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|it| (strsim::normalized_damerau_levenshtein(&lower, it), it))
        .filter(|&(similarity, _)| SIMILARITY_MIN <= similarity)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, it)| it)
}

/// `did you mean ...?`, or the list of what is known.
pub fn did_you_mean(word: &str, what: &str, known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {what}: {}", quoted.join(", ")),
        None => format!("{what}: {}", quoted.join(", ")),
    }
}

/// `text` on one line and at most 60 characters, for use inside a message.
pub fn clip(text: &str) -> String {
    const LEN_MAX_CHARS: usize = 60;
    let mut shown: String = text.chars().take(LEN_MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(LEN_MAX_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}
