//! Names as errors show them.

/// How many of the names that there are an error shows.
const N_NAMES_SHOWN: usize = 8;

/// The candidate nearest to `wanted`, if one is near enough to be meant.
///
/// Near enough is an edit distance (Damerau, 1964), case aside, of at most a third of the name
/// and at least one.
pub(super) fn nearest<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted = wanted.to_lowercase();
    let reach = (wanted.chars().count() / 3).max(1);
    let (distance, name) = candidates
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .min()?;
    (distance <= reach).then(|| name.to_owned())
}

/// The first of many names, as an error shows them.
pub(super) fn first_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first: Vec<&str> = names.by_ref().take(N_NAMES_SHOWN).collect();
    let more = if names.next().is_some() { ", ..." } else { "" };
    first.join(", ") + more
}

/// `a, b and c`.
pub(super) fn and(names: &[&str]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.concat(),
    }
}

/// `; did you mean ...?`, or nothing.
pub(super) fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["digits", "mnist1d"];
        assert_eq!(nearest("digit", names), Some("digits".into()));
        assert_eq!(nearest("Mnist_1d", names), Some("mnist1d".into()));
        assert_eq!(nearest("imagenet", names), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn lists_of_names_are_cut_and_joined() {
        assert_eq!(and(&[]), "");
        assert_eq!(and(&["a"]), "a");
        assert_eq!(and(&["a", "b", "c"]), "a, b and c");
        assert_eq!(first_names(["a", "b"]), "a, b");
        assert_eq!(first_names(["a"; 9]), "a, a, a, a, a, a, a, a, ...");
    }
}
