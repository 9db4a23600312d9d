//! Near misses.

/// Longer words are not compared: the comparison is quadratic.
const LEN_MAX_BYTES: usize = 64;

/// Least similarity of a suggestion, 0 to 1. At 0.5 `momentun` finds `momentum` and `lr_rate`
/// finds nothing.
const SIMILARITY_MIN: f64 = 0.5;

/// The word of `known` nearest to `word`, where one is near; case, `-` and `_` aside.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if LEN_MAX_BYTES < word.len() {
        return None;
    }
    let plain = |it: &str| it.to_lowercase().replace('-', "_");
    let wanted = plain(word);
    known
        .into_iter()
        .map(|it| (strsim::normalized_damerau_levenshtein(&wanted, &plain(it)), it))
        .filter(|&(similarity, _)| SIMILARITY_MIN <= similarity)
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .map(|(_, it)| it)
}

/// `did you mean ...?`
pub fn question(near: &str) -> String {
    format!("did you mean `{near}`?")
}

/// The [`question`] and a space, to stand before a list of what is known; nothing where nothing is near.
pub fn before_list(near: Option<&str>) -> String {
    near.map_or_else(String::new, |it| question(it) + " ")
}

/// The [`question`] behind a semicolon, to end a sentence with; nothing where nothing is near.
pub fn after_sentence(near: Option<&str>) -> String {
    near.map_or_else(String::new, |it| format!("; {}", question(it)))
}

/// `did you mean ...?` where something is near, and the list of what is known.
pub fn did_you_mean(word: &str, what: &str, known: &[&str]) -> String {
    let quoted: Vec<String> = known.iter().map(|it| format!("`{it}`")).collect();
    let near = nearest(word, known.iter().copied());
    format!("{}{what}: {}", before_list(near), quoted.join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_word_is_suggested() {
        let names = ["digits", "mnist1d", "Sepal-Length"];
        assert_eq!(nearest("digit", names), Some("digits"));
        assert_eq!(nearest("Mnist_1d", names), Some("mnist1d"));
        assert_eq!(nearest("sepal_lenght", names), Some("Sepal-Length"));
        assert_eq!(nearest("imagenet", names), None);
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest(&"digits".repeat(20), ["digits"]), None);
    }

    #[test]
    fn a_list_follows_the_question() {
        assert_eq!(did_you_mean("lr_", "known", &["lr"]), "did you mean `lr`? known: `lr`");
        assert_eq!(did_you_mean("beta", "known", &["lr", "eps"]), "known: `lr`, `eps`");
    }
}
