//! Rules that tie several keys together.

use super::file::Findings;

/// Where broken rules go.
pub struct Rules<'a, 'f> {
    found: &'a mut Findings<'f>,
}

impl<'a, 'f> Rules<'a, 'f> {
    pub(super) fn new(found: &'a mut Findings<'f>) -> Self {
        Self { found }
    }

    /// Holds the key `paths[0]` to a rule that takes all of `paths` into account. The problem
    /// stands at the first of them that was written; where one of them is wrong already, the rule is left out.
    pub fn hold(
        &mut self,
        is_held: bool,
        paths: &[&str],
        message: String,
        help: impl Into<String>,
    ) {
        if is_held || paths.iter().any(|it| self.found.touch(it)) {
            return;
        }
        let file = self.found.file();
        let written = paths.iter().map(|it| file.origin(it)).find(|&(_, is_written)| is_written);
        let (origin, _) = written.unwrap_or_else(|| file.origin(paths[0]));
        self.found.refuse(paths[0], origin, message, help);
    }

    /// Holds a key to be at least the sum of others.
    pub fn hold_order(&mut self, value: u64, least: u64, paths: &[&str]) {
        let sum = paths[1..].iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(" + ");
        let message = format!("must be at least {sum} ({least}), is {value}");
        let name = paths[0].rsplit('.').next().unwrap_or(paths[0]);
        self.hold(least <= value, paths, message, format!("for example `{name} = {least}`"));
    }
}
