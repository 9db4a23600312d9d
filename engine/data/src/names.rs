//! Names as errors show them.

/// How many of the names that there are an error shows.
const N_NAMES_SHOWN: usize = 8;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_cut_and_joined() {
        assert_eq!(and(&[]), "");
        assert_eq!(and(&["a"]), "a");
        assert_eq!(and(&["a", "b", "c"]), "a, b and c");
        assert_eq!(first_names(["a", "b"]), "a, b");
        assert_eq!(first_names(["a"; 9]), "a, a, a, a, a, a, a, a, ...");
    }
}
